// The language-model loss.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

namespace morex::ops {

inline constexpr int64_t kIgnoredTarget = -100;

// Σₙ -log softmax(h·Wᵀ)[n, targets[n]] over rows whose target is not kIgnoredTarget.  h [N, D]; weight [V, D], or
// [D, V] when `transposed`; targets [N] int64 -> scalar, float32 (float64 for float64 input).
// Works through chunks of rows: no [N, V] tensor exists. The softmax is float32 also for bfloat16 products.
// Grad: h; the weight only where it requires one. When a gradient is wanted it is formed in the forward pass and saved
// (dh [N, D], dW in float32); backward only scales it. Error: float32 1e-5 relative.
// Throws Error(kData) for a target outside [0, V).
at::Tensor linear_cross_entropy(const at::Tensor& h, const at::Tensor& weight, const at::Tensor& targets,
                                bool transposed = false);

// The same sum from given logits [N, V] (a head that carries an adapter). Grad: logits, formed in the backward pass
// from the saved logits.
at::Tensor cross_entropy_sum(const at::Tensor& logits, const at::Tensor& targets);

}  // namespace morex::ops
