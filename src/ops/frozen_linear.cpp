#include "ops/frozen_linear.h"

#include <ATen/core/Tensor.h>
#include <torch/csrc/autograd/custom_function.h>

#include "base/error.h"
#include "ops/gemm.h"

namespace morex::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct FrozenLinearNode : torch::autograd::Function<FrozenLinearNode> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& weight, bool transposed) {
    ctx->save_for_backward({weight.requires_grad() ? x : at::Tensor(), weight});
    ctx->saved_data["transposed"] = transposed;
    ctx->saved_data["dtype"] = x.scalar_type();
    const at::Tensor w = weight.to(x.scalar_type());
    return transposed ? matmul_nn(x, w) : matmul_nt(x, w);  // [T, out]
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], &dy = grads[0];
    const bool transposed = ctx->saved_data["transposed"].toBool();
    at::Tensor dx, dw;
    if (ctx->needs_input_grad(0)) {
      const at::Tensor w = weight.to(ctx->saved_data["dtype"].toScalarType());
      dx = transposed ? matmul_nt(dy, w) : matmul_nn(dy, w);  // [T, in]
    }
    if (ctx->needs_input_grad(1)) {
      dw = (transposed ? matmul_tn(x, dy) : matmul_tn(dy, x)).to(weight.scalar_type());
    }
    return {dx, dw, at::Tensor()};
  }
};

}  // namespace

at::Tensor frozen_linear(const at::Tensor& x, const at::Tensor& weight, bool transposed) {
  MOREX_ASSERT(x.dim() == 2 && weight.dim() == 2 && x.size(1) == weight.size(transposed ? 0 : 1));
  return FrozenLinearNode::apply(x, weight, transposed);
}

}  // namespace morex::ops
