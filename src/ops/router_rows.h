// Products of a few float32 rows with activations, bfloat16 or float32, that are widened as they are read: what router
// rows take of their input, forward and backward. x [T, d] and dx have dense rows; g [Q, d] and dg are contiguous.
#pragma once
#include <ATen/core/Tensor.h>

namespace morex::ops {

// Beyond, or on another device, the libraries' products of widened activations are used: there they are faster.
inline constexpr int64_t kRouterRows = 24, kRouterRowsFloat32 = 8;  // of g
bool router_rows_apply(const at::Tensor& x, const at::Tensor& g);

// x·gᵀ [T, Q]. All sums of this file are float32; an element's value does not depend on the number of threads.
// Error: K·eps of the accumulation.
at::Tensor router_dots(const at::Tensor& x, const at::Tensor& g);
// dg = duᵀ·x, du [T, Q].
void router_gradient(const at::Tensor& dg, const at::Tensor& du, const at::Tensor& x);
// dx = du·g, or dx += du·g, rounded once to dx's type.
void router_input_gradient(const at::Tensor& dx, const at::Tensor& du, const at::Tensor& g, bool accumulate);

}  // namespace morex::ops
