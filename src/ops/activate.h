// The non-linearities themselves, without autograd.
#pragma once
#include <ATen/core/Tensor.h>

#include "ops/activation.h"

namespace morex::ops {

// act(x), elementwise, in x's dtype.
at::Tensor activate(const at::Tensor& x, Activation activation);

}  // namespace morex::ops
