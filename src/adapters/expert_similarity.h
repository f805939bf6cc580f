// How alike the experts of a site are: inner products of their updates, never formed as [d_out, d_in] matrices.
#pragma once
#include <ATen/core/Tensor.h>

namespace morex::adapters {

// <B_i·A_i, B_j·A_j> (Frobenius) of E experts from r x r products: Σ (A_i·A_jᵀ) ∘ (B_i·B_jᵀ). a [E, r, d_in], or
// [1, r, d_in] for one A of all; b [E, r, d_out], both detached -> [E, E] in their dtype. Memory (E·r)².
at::Tensor update_products(const at::Tensor& a, const at::Tensor& b);

// Cosines of the updates from their products, [E, E] float64 on the CPU; NaN with an expert whose update is zero.
at::Tensor cosines_of(const at::Tensor& products);

// Mean over the pairs of different experts that have one; NaN without such a pair.
double mean_cosine(const at::Tensor& cosines);

}  // namespace morex::adapters
