#include "ops/frozen_linear_reference.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/matmul.h>

namespace morex::ops::reference {

at::Tensor frozen_linear(const at::Tensor& x, const at::Tensor& weight, bool transposed) {
  const at::Tensor w = weight.to(x.scalar_type());
  return at::matmul(x, transposed ? w : w.t());
}

}  // namespace morex::ops::reference
