// The reference twin of swiglu.h in plain ATen autograd, any dtype.
#pragma once
#include <ATen/core/Tensor.h>

#include "ops/activation.h"

namespace morex::ops::reference {

at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up, Activation activation = Activation::kSilu);

}  // namespace morex::ops::reference
