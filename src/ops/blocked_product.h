// Wide products in blocks that stay in a core's cache: faster than the libraries' on the processors it takes part on.
#pragma once
#include <ATen/core/Tensor.h>

#include <vector>

#include "ops/factors.h"

namespace morex::ops {

// Whether out = Σ a·b, or out += Σ a·b, is computed here: a [M, K], b [K, N], out [M, N] of one type, float32 or
// bfloat16, on an AMD processor with AVX-512 (bfloat16: AVX-512 BF16) and a LibTorch that exports its small-block
// product; a and out with dense rows, b with dense rows or columns; of some size, K even in bfloat16.
bool blocked_products_apply(const at::Tensor& out, const std::vector<Factors>& products);

// A number of out depends on its rows of a and its columns of b alone: not on other rows, not on the number of threads.
// Error: one rounding of the result (with `accumulate` of the sum) plus ΣK·eps of the accumulation in float32.
void blocked_products(const at::Tensor& out, const std::vector<Factors>& products, bool accumulate);

}  // namespace morex::ops
