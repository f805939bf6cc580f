#include "ops/attention_mask.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>

#include "base/error.h"

namespace morex::ops {

AttentionMask::AttentionMask(const AttentionKind& kind, int64_t length, int64_t keys, at::Device device)
    : kind_(kind), length_(length), keys_(keys) {
  MOREX_ASSERT(!kind.key_mask.defined() || kind.key_mask.size(1) == keys);
  MOREX_ASSERT(!kind.segments.defined() || kind.segments.size(1) == keys);
  const bool causal = kind.causal && length > 1;  // a single query is the last position
  const bool window = kind.window > 0 && kind.window < keys;
  if (!causal && !window) return;
  const auto options = at::TensorOptions().dtype(at::kLong).device(device);
  const at::Tensor query = at::arange(keys - length, keys, options).unsqueeze(1);  // [L, 1]
  const at::Tensor key = at::arange(keys, options).unsqueeze(0);                   // [1, S]
  if (causal) by_position_ = key > query;
  if (window) {
    const at::Tensor old = key <= query - kind.window;
    by_position_ = by_position_.defined() ? by_position_.logical_or(old) : old;
  }
}

at::Tensor AttentionMask::hidden(int64_t b) const {
  at::Tensor hidden = by_position_;
  const auto add = [&](const at::Tensor& more) { hidden = hidden.defined() ? hidden.logical_or(more) : more; };
  if (kind_.key_mask.defined()) add(kind_.key_mask.select(0, b).logical_not().expand({length_, keys_}));
  if (kind_.segments.defined()) {
    const at::Tensor keys = kind_.segments.select(0, b);
    const at::Tensor foreign = keys.narrow(0, keys_ - length_, length_).unsqueeze(1) != keys.unsqueeze(0);
    add(foreign.logical_and((keys != kSharedSegment).unsqueeze(0)));
  }
  return hidden;
}

}  // namespace morex::ops
