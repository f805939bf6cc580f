#include "training_run.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/zeros_like.h>

#include "ops/flat_adamw.h"

namespace morex::test {

LossParts losses(const models::CausalLm& model, const adapters::AdapterSet& set, const at::Tensor& ids,
                 const at::Tensor& labels, const nn::BatchContext& ctx, nn::RoutingTally* tally) {
  nn::RoutingReport report;
  report.tally = tally;
  const at::Tensor h = model.hidden(ids, ctx, report).reshape({ids.size(0), ids.size(1), -1});
  const int64_t length = ids.size(1) - 1;
  const at::Tensor targets = labels.to(ids.device()).narrow(1, 1, length).reshape({-1});
  const at::Tensor sum = model.loss_sum(h.narrow(1, 0, length).reshape({targets.size(0), -1}), targets, ctx, report);
  return {sum / targets.ne(-100).sum().item<int64_t>(), set.auxiliary_loss(report)};
}

AdamW::AdamW(nn::ParameterStore& store, const Json& training)
    : store_(&store),
      exp_avg_(at::zeros_like(store.values())),
      exp_avg_sq_(at::zeros_like(store.values())),
      training_(training) {}

void AdamW::step() {
  ops::AdamWOptions options;
  options.lr = training_.at("lr");
  options.beta1 = training_.at("betas")[0];
  options.beta2 = training_.at("betas")[1];
  options.eps = training_.at("eps");
  options.weight_decay = training_.at("weight_decay");
  std::vector<ops::AdamWSegment> segments;
  for (const nn::Leaf& leaf : store_->leaves())
    for (const nn::Segment& part : leaf.segments) segments.push_back({part.offset, part.size, part.options.lr_factor});
  ops::flat_adamw(store_->values(), store_->grads(), exp_avg_, exp_avg_sq_, segments, options, steps_++);
  store_->zero_grads();
}

void AdamW::take_over(const AdamW& other) {
  exp_avg_.copy_(other.exp_avg_);
  exp_avg_sq_.copy_(other.exp_avg_sq_);
  steps_ = other.steps_;
}

}  // namespace morex::test
