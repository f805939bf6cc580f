// PiSSA's start (Meng et al., arXiv 2404.02948): the adapter takes the base's largest singular directions.
#pragma once
#include <ATen/core/Tensor.h>

#include <utility>

#include "nn/slots.h"

namespace morex::adapters {

struct LowRankFactors {
  at::Tensor a;  // [r, d_in]
  at::Tensor b;  // [d_out, r]
};

// W = P·diag(σ)·Qᵀ -> a = diag(√(σ/s))·Q_rᵀ, b = P_r·diag(√(σ/s)), so that s·b·a is the best approximation of rank r.
// SVD and result in float32 (float64 for float64). No gradient. Throws Error(kConfig) when r exceeds the weight's
// sizes.
LowRankFactors principal_factors(const nn::LinearWeight& weight, int64_t rank, double scale);

// W - s·b·a in W's dtype and storage order, summed in the factors' dtype and rounded once.
at::Tensor residual_weight(const nn::LinearWeight& weight, const LowRankFactors& factors, double scale);

// The same update on the base itself: a' = [a; a_start], b' = [b, -b_start], of rank 2r with an unchanged scale, so
// that b'·a' = b·a - b_start·a_start.
LowRankFactors on_original_base(const LowRankFactors& trained, const LowRankFactors& start);

}  // namespace morex::adapters
