// The reference twin of rope.h in plain ATen autograd, any dtype.
#pragma once
#include <ATen/core/Tensor.h>

namespace morex::ops::reference {

at::Tensor rope(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin);

}  // namespace morex::ops::reference
