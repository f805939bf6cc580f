// The reference twin of rms_norm.h in plain ATen autograd, any dtype.
#pragma once
#include <ATen/core/Tensor.h>

namespace morex::ops::reference {

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps);

}  // namespace morex::ops::reference
