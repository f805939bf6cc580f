#include "ops/tree_reference.h"

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

at::Tensor tree_scores(const TreeScoresInput& in, TreeActivation activation) {
  at::Tensor hidden = in.base;  // [T·P, m]
  if (in.table.defined()) {
    const int64_t parents = in.base.size(0) == 0 ? 1 : in.path.size(0) / in.base.size(0);
    const std::vector<int64_t> each = {in.path.size(0), in.path.size(1), in.base.size(1)};
    const at::Tensor above = in.table.index_select(0, in.path.flatten()).view(each);  // [T·P, K, m]
    hidden = in.base.repeat_interleave(parents, 0) + above.sum(1);
  }
  return at::matmul(activate(hidden + in.bias, activation), in.keys.t()) + in.shift;
}

}  // namespace morex::ops::reference
