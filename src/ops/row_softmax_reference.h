// The reference twin of row_softmax.h in plain ATen autograd, any dtype and device.
#pragma once
#include <ATen/core/Tensor.h>
#include <ATen/ops/softmax.h>

namespace morex::ops::reference {

inline at::Tensor row_softmax(const at::Tensor& logits) { return at::softmax(logits, 1); }

}  // namespace morex::ops::reference
