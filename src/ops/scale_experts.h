// The middle of a mixture of low-rank experts: what each token's experts make of their down products.
#pragma once
#include <ATen/core/Tensor.h>

namespace morex::ops {

// T tokens, E experts of rank r.
struct ScaleExpertsInput {
  at::Tensor h;        // [T, E·r] down products, expert after expert; shared: [T, r] for all of them; any row stride
  at::Tensor weights;  // [T, k] gates of the chosen experts, or [T, E] of all
  at::Tensor ids;      // [T, k] int64, the chosen experts, no two alike; undefined: all
  bool shared = false;
};

// z_te = c·g_te·h_te, zero where not chosen: [T, E·r] in h's dtype, rounded once.
// Dtypes: h float32, float64 or bfloat16, weights the wide type (wide.h). Grad: h, weights. Saves the inputs.
// Error: 2 eps of the wide type an element, rounded to h's; gradients sum r (a shared h's: k) of them.
// Source: Gao et al., arXiv 2402.08562; Dou et al., arXiv 2312.09979; Tian et al., arXiv 2404.19245 (shared).
at::Tensor scale_experts(const ScaleExpertsInput& input, int64_t experts, double scale);

}  // namespace morex::ops
