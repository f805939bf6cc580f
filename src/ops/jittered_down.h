// Router rows on a jittered input (Switch Transformer, Fedus et al., arXiv 2101.03961, section 2.2).
#pragma once
#include <ATen/core/Tensor.h>

#include "base/random.h"

namespace morex::ops {

// u = (x ∘ ξ)·Gᵀ with ξ = jitter_factors(x's shape, jitter, key).  x [T, d]; g [Q, d] -> [T, Q] float32 (float64 for
// float64), the products in that type; x is widened and multiplied a block of rows at a time.
// Grad: x, g. Saves x and the leaf's handle; the factors are drawn again. Error: as gemm.h.
at::Tensor jittered_down(const at::Tensor& x, const at::Tensor& g, double jitter, const RandomKey& key);

// [rows, width] uniform on [1 - jitter, 1 + jitter) with 32 bits, rows first … of an input of that width: a function of
// the key and the element's place alone. float32 or float64.
at::Tensor jitter_factors(int64_t first, int64_t rows, int64_t width, double jitter, const RandomKey& key,
                          at::ScalarType dtype);

}  // namespace morex::ops
