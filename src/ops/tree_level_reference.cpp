#include "ops/tree_level_reference.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/tanh.h>

#include "base/error.h"

namespace morex::ops::reference {
namespace {

at::Tensor activate(const at::Tensor& x, TreeActivation activation) {
  switch (activation) {
    case TreeActivation::kIdentity:
      return x;
    case TreeActivation::kTanh:
      return at::tanh(x);
    case TreeActivation::kRelu:
      return at::relu(x);
  }
  MOREX_ASSERT(false);
}

}  // namespace

at::Tensor tree_level(const TreeLevelInput& in, double scale, TreeActivation activation) {
  const int64_t tokens = in.alpha.size(0), parents = in.alpha.size(1), fan = in.alpha.size(2);
  const int64_t experts = in.b.size(0), wide = in.b.size(1), rank = in.b.size(2);
  const at::Tensor u = in.h.reshape({tokens, 1, experts, rank}) + in.a_bias;                    // [T, 1, s, r]
  const at::Tensor each = scale * (at::matmul(in.b, u.unsqueeze(-1)).squeeze(-1) + in.b_bias);  // [T, 1, s, d']
  const at::Tensor where = in.ids.reshape({tokens, parents * fan, 1}).expand({tokens, parents * fan, wide});
  at::Tensor v = each.squeeze(1).gather(1, where).reshape({-1, wide});  // [T·P·f, d']
  if (in.below.defined()) v = v + at::matmul(in.below, in.w.t()) + in.w_bias;
  const at::Tensor out = activate(v, activation).view({tokens * parents, fan, wide});
  return (in.alpha.reshape({tokens * parents, fan, 1}) * out).sum(1);
}

}  // namespace morex::ops::reference
