// Dropout whose mask is a pure function of a random key and the element's index.
#pragma once
#include <ATen/core/Tensor.h>

#include "base/random.h"

namespace morex::ops {

// y = x·keep/(1-p), element i (row-major) kept when the 32-bit word i of the key's stream is at least p·2³².
// x of any shape, float32, bfloat16, float64. p = 0 returns x itself. Independent of the thread count and of the dtype.
// Grad: x; saves the key only, the mask is drawn again. Error: one rounding.
at::Tensor dropout(const at::Tensor& x, double p, const RandomKey& key);

// The mask alone: bool, of that shape, true = kept.
at::Tensor dropout_mask(at::IntArrayRef shape, double p, const RandomKey& key);

}  // namespace morex::ops
