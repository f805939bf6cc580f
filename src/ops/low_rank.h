// The two products of every low-rank adapter: down to the ranks (and router rows) of a group, and back up into a
// target's base output. Dtype rule: products run in x's (y's) dtype, a float32 leaf is cast for them; gradients of a
// leaf have the leaf's dtype. float64 passes through.
#pragma once
#include <ATen/core/Tensor.h>

namespace morex::ops {

// h = x·AGᵀ.  x [T, d]; ag [R, d] -> [T, R] in x's dtype.
// Grad: x, ag. Saves x and the leaf's handle. Error: as gemm.h.
at::Tensor down(const at::Tensor& x, const at::Tensor& ag);

// The same in float32 (float64 for float64): router rows. bfloat16 x is widened chunk by chunk -> [T, R] float32.
at::Tensor down_fp32(const at::Tensor& x, const at::Tensor& ag);

// Both of one leaf ag = [A; G], A its first down_rows rows: h = down(kept, A) [T, R] and u = down_fp32(x, G) [T, Q].
// kept [T, d]: x itself, or x after dropout.
// Grad: kept, x, ag, each formed once. Saves kept, x and the leaf's handle. Error: as gemm.h.
struct DownBoth {
  at::Tensor h, u;
};
DownBoth down_both(const at::Tensor& kept, const at::Tensor& x, const at::Tensor& ag, int64_t down_rows);

// y += z·b + bias, in place; returns y.  y [T, out] (a tensor nobody has saved); z [T, r] of any dtype (cast to y's);
// b [r, out], stored like this; bias [out] or undefined.
// Grad: y (passed through), z, b, bias (of b's dtype). Saves z and b as they were cast. Error: as gemm.h.
at::Tensor accumulate_up(at::Tensor y, const at::Tensor& z, const at::Tensor& b, const at::Tensor& bias = {});

}  // namespace morex::ops
