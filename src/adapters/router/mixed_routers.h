// Mixture of Routers (Zhang et al., arXiv 2503.23362): N sub-routers choose jointly, a main router weighs them per
// token. The paper's equations are not public; this is the reconstruction that the reference data follow.
#pragma once
#include <ATen/core/Tensor.h>

#include <functional>

#include "adapters/router/flat_choice.h"
#include "base/json.h"

namespace morex::adapters {

struct MixtureOptions {
  enum class Select { kMixThenTopK, kTopKThenMix, kTopKMixTopK };
  int64_t routers = 2;  // N
  bool logit = false;   // mix the sub-routers' logits, not their probabilities
  bool learned = true;  // a main router; else every sub-router weighs 1/N
  Select select = Select::kMixThenTopK;
  int64_t main_top_n = 0;  // sub-routers kept per token; 0: all
};

// Options of kind mixture_of_routers but `router`, the wrapped one. Throws Error(kConfig).
MixtureOptions read_mixture(const Json& options);
// The recipe of the wrapped router. Throws Error(kConfig) when there is none.
const Json& wrapped_router(const Json& options);

// Weights of the sub-routers [n, N]: softmax of the main router's v [n, N] (undefined: uniform), cut to the main_top_n
// largest and divided by their sum. Grad: v.
at::Tensor main_weights(const at::Tensor& v, int64_t rows, const MixtureOptions& options, at::TensorOptions like);

struct Mixed {
  at::Tensor pi;  // [n, E] mixed distribution, the one that losses read
  Chosen chosen;
};

// logits [n, N, E] of the sub-routers, p [n, N] their weights. `choose` is the wrapped router's choice. Grad: logits,
// p.
//   mix_then_topk: choose(pi), pi = Σ_n p_n·softmax(u_n), or softmax(Σ_n p_n·u_n) with `logit`;
//   topk_then_mix: Σ_n p_n·choose(softmax(u_n));  topk_mix_topk: choose of that sum.
Mixed mix_routers(const at::Tensor& logits, const at::Tensor& p, const MixtureOptions& options,
                  const std::function<Chosen(const at::Tensor&)>& choose);

// What the loss main_balance reads, added to the last gate of the recorder, and the detail `name`. p [T, N], or
// [T·parents, N] in a tree.
void report_main(const at::Tensor& p, const std::string& name, const TokenRows& rows);

}  // namespace morex::adapters
