#include "adapters/watch.h"

#include <ATen/TensorOperators.h>

#include "base/error.h"

namespace morex::adapters {

at::Tensor real_rows(const at::Tensor& values, const nn::BatchContext& ctx) {
  if (!ctx.token_mask.defined()) return values;
  return values.index_select(0, ctx.token_mask.reshape({-1}).to(values.device()).nonzero().squeeze(1));
}

WatchedGroup::WatchedGroup(nn::LinearGroup& group, Seen seen)
    : group_(group), inner_(group.adapter), seen_(std::move(seen)) {
  MOREX_ASSERT(inner_ != nullptr);
  group_.adapter = this;
}

WatchedGroup::~WatchedGroup() { group_.adapter = inner_; }

void WatchedGroup::apply(const at::Tensor& x, nn::GroupOutputs& y, const nn::BatchContext& ctx,
                         nn::RoutingReport& report) const {
  std::vector<at::Tensor> before;
  for (size_t i = 0; i < y.size(); ++i) before.push_back(y.formed(i).clone());
  inner_->apply(x, y, ctx, report);
  std::vector<at::Tensor> updates;
  for (size_t i = 0; i < y.size(); ++i) updates.push_back(real_rows(y.formed(i) - before[i], ctx));
  seen_(real_rows(x, ctx), updates);
}

WatchedBlock::WatchedBlock(nn::Mlp& mlp, Seen seen) : mlp_(mlp), inner_(mlp.adapter), seen_(std::move(seen)) {
  MOREX_ASSERT(inner_ != nullptr);
  mlp_.adapter = this;
}

WatchedBlock::~WatchedBlock() { mlp_.adapter = inner_; }

at::Tensor WatchedBlock::apply(const nn::Mlp& mlp, const at::Tensor& x, const nn::BatchContext& ctx,
                               nn::RoutingReport& report) const {
  at::Tensor y = inner_->apply(mlp, x, ctx, report);
  seen_(x, y, ctx);
  return y;
}

}  // namespace morex::adapters
