// The reference twin of softmax_mixture.h in plain ATen autograd, any dtype and device.
#pragma once
#include <ATen/core/Tensor.h>

namespace morex::ops::reference {

at::Tensor softmax_mixture(const at::Tensor& logits, const at::Tensor& p);

}  // namespace morex::ops::reference
