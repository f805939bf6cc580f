// Losses on the routing, formed from the sums that sites leave in the report.
#pragma once
#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <vector>

#include "adapters/site.h"
#include "base/json.h"
#include "nn/routing_report.h"

namespace morex::adapters {

enum class LossScope { kSite, kLayer, kModel };

// One entry of the recipe's `losses`.
struct GateLoss {
  std::string kind;  // balance, main_balance, importance, localized, z, entropy
  double coef = 0.01;
  LossScope scope = LossScope::kSite;
  bool padding = false;                  // padded tokens count too
  bool normalised = false;               // balance: the experts' shares sum to 1, not to the experts per token
  double delta = 0.1;                    // localized
  std::optional<EntropyForm> entropy{};  // entropy; empty: the router's own, else the default form
};

// Throws Error(kConfig): unknown kinds and keys, keys of another kind.
std::vector<GateLoss> read_losses(const Json& list);
Json losses_to_json(const std::vector<GateLoss>& losses);
// What the sites must leave in the report for these losses. Throws Error(kConfig) for two forms of entropy.
LossNeeds loss_needs(const std::vector<GateLoss>& losses);

// Balance of one gate, without coefficient, scalar; undefined for a gate that has none. No counted rows: 0.
// Gates that report "probability": E·Σ f·P, f = counts/rows (a constant), P = probability/rows (Switch Transformer,
// arXiv 2101.03961). f sums to the experts per token, to 1 when `normalised`. "shares" replace the counts.
// Gates that report "importance" and "load" (noisy top-k, arXiv 1701.06538): CV²(importance) + CV²(load),
// CV² = var/(mean² + 1e-10) with the unbiased variance.
at::Tensor balance_loss(const nn::GateReport& gate, bool padding = false, bool normalised = false);

// LoRAMoE's constraint (arXiv 2312.09979): CV² of I∘Q over sequences and experts, Q [B, E] the sums of probabilities of
// a sequence, I = 1 + delta for experts of the first half and samples of type 1, and of the second half and type 0,
// else 1 - delta.
at::Tensor localized_loss(const nn::GateReport& gate, double delta);

// coef times the loss of every scope, summed plainly. Gates of one scope are pooled where level and number of experts
// agree. Undefined when nothing contributes.
at::Tensor form_loss(const GateLoss& loss, const std::vector<const nn::GateReport*>& gates);

}  // namespace morex::adapters
