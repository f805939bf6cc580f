// Steps of AdamW on an adapter, as the reference values were made.
#pragma once
#include <vector>

#include "adapters/adapter_set.h"
#include "models/causal_lm.h"

namespace morex::test {

struct LossParts {
  at::Tensor cross_entropy;  // mean over targets that are not -100
  at::Tensor auxiliary;      // undefined when the method has none
  at::Tensor total() const { return auxiliary.defined() ? cross_entropy + auxiliary : cross_entropy; }
};

// ids, labels [B, L]; the context as in the forward pass; tally: counts the gates, or null.
LossParts losses(const models::CausalLm& model, const adapters::AdapterSet& set, const at::Tensor& ids,
                 const at::Tensor& labels, const nn::BatchContext& ctx, nn::RoutingTally* tally = nullptr);

// AdamW over the flat buffer, decay on everything.
class AdamW {
 public:
  // `training`: lr, betas, eps, weight_decay of a case.
  AdamW(nn::ParameterStore& store, const Json& training);
  void step();  // from the gradients there are; clears them
  // Goes on where `other`, of a store with the same layout, stands.
  void take_over(const AdamW& other);

 private:
  nn::ParameterStore* store_;
  at::Tensor exp_avg_, exp_avg_sq_;
  Json training_;
  int64_t steps_ = 0;
};

}  // namespace morex::test
