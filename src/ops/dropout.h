// Dropout whose mask is a pure function of a random key and the element's index.
#pragma once
#include <ATen/core/Tensor.h>

#include "base/random.h"

namespace morex::ops {

// y = x·keep/(1-p), p rounded to a multiple of 2⁻¹⁶; element i (row-major) is kept when its 16 bits of the key's stream
// are at least p·2¹⁶. x of any shape, float32, bfloat16, float64. p = 0 returns x itself. Independent of the thread
// count, of the processor, of the dtype and of the device (where that is not the CPU, the mask is copied there).
// Grad: x; saves a bit for each element, and x's handle: what saves y forms it again from them. Elsewhere than on the
// CPU saves the key alone. Error: one rounding.
at::Tensor dropout(const at::Tensor& x, double p, const RandomKey& key);

// The mask without the factor, in place on tensors of one shape and dtype, contiguous and not recorded: what is dropped
// becomes zero, what is kept stays. dropout_factor(p) is for the caller to multiply by, where that costs less.
void drop_in_place(at::TensorList xs, double p, const RandomKey& key);
double dropout_factor(double p);  // 1/(1-p), of the rounded p

// The mask alone: bool on the CPU, of that shape, true = kept.
at::Tensor dropout_mask(at::IntArrayRef shape, double p, const RandomKey& key);

}  // namespace morex::ops
