// Low-rank experts gathered one after another on the tokens that chose them: the sparse executor of a mixture.
#pragma once
#include <ATen/core/Tensor.h>

#include "ops/expert_rows.h"

namespace morex::ops {

// y_t += Σ_e g_te·(x_t·A_eᵀ)·B_e over the rows (t, e), in place; returns y.  y [T, out] (a tensor nobody has saved);
// x [T, d]; weights [N] of `rows`, float32 or float64; a [E·r, d] and b [E·r, out], expert after expert, b stored like
// this. Products run in y's dtype, leaves are cast for them; x has y's dtype.
// Grad: y (passed through), x, weights, a, b. Saves x, the leaves' handles and h [N, r]. A few thousand rows of one
// expert at most are alive at a time. Error: as gemm.h; equal to the dense form z = g ⊗ h, y += z·b to rounding.
// Deterministic: experts in ascending order, each token once per expert.
at::Tensor expert_low_rank(at::Tensor y, const at::Tensor& x, const at::Tensor& weights, const at::Tensor& a,
                           const at::Tensor& b, const ExpertRows& rows);

}  // namespace morex::ops
