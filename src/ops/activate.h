// The non-linearities themselves, without autograd.
#pragma once
#include <ATen/core/Tensor.h>

#include "ops/activation.h"

namespace morex::ops {

// act(x), elementwise, in x's dtype.
at::Tensor activate(const at::Tensor& x, Activation activation);
// dy·act'(x).
at::Tensor activation_backward(const at::Tensor& dy, const at::Tensor& x, Activation activation);

}  // namespace morex::ops
