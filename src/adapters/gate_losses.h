// Losses on the routing, formed from the sums that sites leave in the report.
#pragma once
#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "nn/routing_report.h"

namespace morex::adapters {

enum class LossScope { kSite, kLayer, kModel };

// One entry of the recipe's `losses`.
struct GateLoss {
  std::string kind;  // "balance"
  double coef = 0.01;
  LossScope scope = LossScope::kSite;
};

// Throws Error(kConfig).
std::vector<GateLoss> read_losses(const Json& list);
Json losses_to_json(const std::vector<GateLoss>& losses);

// Balance of one gate, without coefficient, scalar; undefined for a gate that has none (dense).
// Gates that report "probability" (switch): E·Σ T·Q, T = counts/rows (a constant), Q = probability/rows.
// Gates that report "importance" and "load" (noisy top-k): CV²(importance) + CV²(load), CV² = var/(mean² + 1e-10) with
// the unbiased variance. No counted rows: 0.
at::Tensor balance_loss(const nn::GateReport& gate);

// coef times the loss of every scope, summed plainly. Gates of one scope are pooled where level and number of experts
// agree. Undefined when nothing contributes.
at::Tensor form_loss(const GateLoss& loss, const std::vector<const nn::GateReport*>& gates);

}  // namespace morex::adapters
