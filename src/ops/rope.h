// Rotary position embedding, half-split form.
#pragma once
#include <ATen/core/Tensor.h>

namespace morex::ops {

// y = x·cos + rotate_half(x)·sin, rotate_half(x) = [-x₂, x₁] of the two halves.
// x [B, H, L, K] of any strides (typically the [B·L, H·K] projection viewed as [B, L, H, K] and transposed);
// cos, sin [L, K], [B·L, K] or [B, L, K], float32 or x's dtype, no gradient -> contiguous [B, H, L, K], which is what
// attention reads without copying. The transposition costs nothing extra here.
// Dtypes: float32, float64, bfloat16 (computed in float32, rounded once).
// Grad: x, by the rotation with -sin; laid out as [B, L, H, K] in memory, so that the projection's gradient is a view.
// Saves cos and sin only. Error: 2 ulp. Source: Su et al. 2021, eq. 34, in the half-split order of Llama's checkpoints.
// DEVIATION: in bfloat16 Hugging Face rounds cos, sin, both products and the sum; here only the result is rounded.
at::Tensor rope(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin);

}  // namespace morex::ops
