// Products of bfloat16 matrices with a narrow result, as low-rank adapters form them: dot products of bfloat16 pairs
// summed in float32. The libraries' kernels are made for wide results.
#pragma once
#include <ATen/core/Tensor.h>

namespace morex::ops {

inline constexpr int64_t kSkinny = 128;  // ranks

// Whether out = a·b, or out += a·b, is computed here: a [M, K], b [K, N], out [M, N] with dense rows, bfloat16 on a CPU
// with AVX-512 BF16, in one of two forms:
//   x·wᵀ  N at most kSkinny; a has dense rows, b dense columns; not added
//   aᵀ·b  M at most kSkinny; a has dense columns, b dense rows; out may be float32
bool skinny_apply(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b, bool accumulate);

// Independent of the number of threads; what stands in a row of x·wᵀ is independent of the other rows. Error: one
// rounding of the result (none to float32) plus K·eps of the accumulation in float32.
void skinny_product(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b, bool accumulate);

}  // namespace morex::ops
