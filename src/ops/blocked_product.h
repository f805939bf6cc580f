// Wide products in blocks that stay in a core's cache: faster than the libraries' on the processors it takes part on.
#pragma once
#include <ATen/core/Tensor.h>

namespace morex::ops {

// Whether out = a·b, or out += a·b, is computed here: a [M, K], b [K, N], out [M, N] of one type, float32 or bfloat16,
// on an AMD processor with AVX-512; a and out with dense rows, b with dense rows or columns; of some size, K even in
// bfloat16.
bool blocked_product_applies(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b);

// A number of out depends on its row of a and its column of b alone: not on other rows, not on the number of threads.
// Error: one rounding of the result (with `accumulate` of the sum) plus K·eps of the accumulation in float32.
void blocked_product(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b, bool accumulate);

}  // namespace morex::ops
