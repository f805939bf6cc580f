#include "ops/frozen_linear.h"

#include <ATen/core/Tensor.h>

#include "base/error.h"
#include "ops/autograd_node.h"
#include "ops/gemm.h"

namespace morex::ops {
at::Tensor frozen_linear(const at::Tensor& x, const at::Tensor& weight, bool transposed) {
  MOREX_ASSERT(x.dim() == 2 && weight.dim() == 2 && x.size(1) == weight.size(transposed ? 0 : 1));
  AutogradNode node("frozen_linear", {x, weight});
  const at::ScalarType type = x.scalar_type();
  const at::Tensor w = weight.to(type);
  const at::Tensor y = transposed ? matmul_nn(x, w) : matmul_nt(x, w);  // [T, out]
  return node.record(y, {node.wants(1) ? x : at::Tensor(), weight},
                     [type, transposed](const BackwardPass& pass) -> Tensors {
                       const at::Tensor &x = pass.saved[0], &weight = pass.saved[1], &dy = pass.grads[0];
                       at::Tensor dx, dw;
                       if (pass.wants(0)) {
                         const at::Tensor w = weight.to(type);
                         dx = transposed ? matmul_nt(dy, w) : matmul_nn(dy, w);  // [T, in]
                       }
                       if (pass.wants(1))
                         dw = (transposed ? matmul_tn(x, dy) : matmul_tn(dy, x)).to(weight.scalar_type());
                       return {dx, dw};
                     });
}

}  // namespace morex::ops
