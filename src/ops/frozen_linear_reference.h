// The reference twin of frozen_linear.h in plain ATen autograd, any dtype.
#pragma once
#include <ATen/core/Tensor.h>

namespace morex::ops::reference {

at::Tensor frozen_linear(const at::Tensor& x, const at::Tensor& weight, bool transposed = false);

}  // namespace morex::ops::reference
