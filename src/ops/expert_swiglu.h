// Gated feed-forward experts over one shared base, gathered per expert (MixLoRA's block between its base products).
#pragma once
#include <ATen/core/Tensor.h>

#include <utility>

#include "base/random.h"
#include "ops/activation.h"
#include "ops/expert_rows.h"

namespace morex::ops {

struct ExpertSwigluInput {
  at::Tensor gate, up;      // [T, F] the base products, biases included
  at::Tensor h_gate, h_up;  // [T, E·r] down products
  at::Tensor weights;       // [N] gates of `rows`, float32 or float64
  at::Tensor b_gate, b_up;  // [E·r, F] up factors, stored like this
  at::Tensor a_down;        // [E·r, F] the next projection's down factors
};

// Rows of one expert that are worked on at a time, with one dropout mask: [256, 1536] bfloat16 are 768 KiB, and a
// handful of them stay in the cores' caches. 128 take a few hundredths longer on SmolLM2, 64 a tenth.
inline constexpr int64_t kExpertSwigluRows = 256;

struct ExpertSwigluOptions {
  double scale = 1.0;  // of every low-rank pair
  Activation activation = Activation::kSilu;
  double dropout = 0.0;  // on the input of a_down; the mask is a function of the key and a row's place in `rows`
  RandomKey key;

  // The key of the mask of the rows from `first` on.
  RandomKey key_of(int64_t first) const {
    RandomKey own = key;
    own.stream += static_cast<uint64_t>(first);
    return own;
  }
};

// For each row (t, e) of weight g:  a = act(gate_t + s·h_gate·b_gate) ∘ (up_t + s·h_up·b_up)  with e's factors.
// Returns hidden [T, F], hidden_t = Σ_e g·a, and z [T, E·r], z_t,e = s·g·drop(a)·a_downᵀ, zero where a token has not
// chosen e: y = hidden·Wᵀ + z·b_down then equals Σ_e g·(W·a + s·B·A·a).
// Dtypes: float32, float64, bfloat16 (act and sums over F in float32); leaves are cast for the products.
// Grad: every input tensor. Saves the inputs; activations are formed again. At most 256 rows of one expert
// are alive at a time. Error: as gemm.h. Source: Li et al., arXiv 2404.15159, with one product for the down projection.
std::pair<at::Tensor, at::Tensor> expert_swiglu(const ExpertSwigluInput& input, const ExpertRows& rows,
                                                const ExpertSwigluOptions& options);

}  // namespace morex::ops
