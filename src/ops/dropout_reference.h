// The reference twin of dropout.h in plain ATen autograd, any dtype, from a given mask.
#pragma once
#include <ATen/core/Tensor.h>

namespace morex::ops::reference {

at::Tensor dropout(const at::Tensor& x, double p, const at::Tensor& kept);

}  // namespace morex::ops::reference
