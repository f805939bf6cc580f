// The joint distribution of several softmax routers.
#pragma once
#include <ATen/core/Tensor.h>

namespace morex::ops {

// pi = Σ_n p_n · softmax(u_n).  logits [n, N, E] of N routers, any strides; p [n, N] their weights -> [n, E].
// Dtypes: float32, float64, the same for both.
// Grad: logits, p. Saves both; the softmaxes are formed again.
// Error: 4 ulp of the largest term. Source: Mixture of Routers (arXiv 2503.23362), weighted probabilities.
at::Tensor softmax_mixture(const at::Tensor& logits, const at::Tensor& p);

}  // namespace morex::ops
