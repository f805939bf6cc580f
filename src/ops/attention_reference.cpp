#include "ops/attention_reference.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/softmax.h>

#include <limits>

#include "ops/wide.h"

namespace morex::ops::reference {

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale,
                     const AttentionKind& kind) {
  const int64_t length = q.size(2), keys = k.size(2), group = q.size(1) / k.size(1);
  const at::ScalarType wide = wide_type(q.scalar_type());
  at::Tensor visible = at::ones({q.size(0), 1, length, keys}, q.options().dtype(at::kBool));
  const at::Tensor at_key = at::arange(keys, q.options().dtype(at::kLong));
  const at::Tensor at_query = at_key.narrow(0, keys - length, length).unsqueeze(1);
  if (kind.causal) visible = visible & (at_key <= at_query);
  if (kind.window > 0) visible = visible & (at_query - at_key < kind.window);
  if (kind.key_mask.defined()) visible = visible & kind.key_mask.unsqueeze(1).unsqueeze(1);
  if (kind.segments.defined()) {
    const at::Tensor own = kind.segments.narrow(1, keys - length, length);
    const at::Tensor same = own.unsqueeze(2) == kind.segments.unsqueeze(1);
    visible = visible & (same | (kind.segments == kSharedSegment).unsqueeze(1)).unsqueeze(1);
  }
  const at::Tensor kr = k.to(wide).repeat_interleave(group, 1), vr = v.to(wide).repeat_interleave(group, 1);
  const at::Tensor scores = at::matmul(q.to(wide), kr.transpose(2, 3)) * scale;  // [B, H, L, S]
  const at::Tensor hidden = visible.logical_not();
  // A finite mask value, and zeros where nothing is visible: no NaN in either direction.
  const at::Tensor p = at::softmax(scores.masked_fill(hidden, std::numeric_limits<float>::lowest()), -1);
  return at::matmul(p.masked_fill(hidden, 0.0), vr).to(q.scalar_type());
}

}  // namespace morex::ops::reference
