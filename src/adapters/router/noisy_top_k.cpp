// Noisy top-k (Shazeer et al., arXiv 1701.06538): in training, noise of a learned size is added to the logits,
// z = u + n·(softplus(W·x) + 0.01), and the k largest z are taken with softmax weights; else the k largest u. Its
// balance loss is CV²(importance) + CV²(load). Parameters beside the gate's: E·d_in.
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/clamp_min.h>
#include <ATen/ops/erf.h>
#include <ATen/ops/log.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/softplus.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>

#include "adapters/router/gate_noise.h"
#include "adapters/router/table.h"
#include "base/error.h"
#include "ops/row_softmax.h"
#include "ops/top_k.h"

namespace morex::adapters {
namespace {

class NoisyTopK : public FlatChoice {
 public:
  NoisyTopK(int64_t k, int64_t experts, int64_t d_in) : k_(k) {
    tensors_ = {{"noise.weight", Place::kRoute, {experts, d_in}, Init::constant(0.0)}};
  }

  const std::vector<TensorSpec>& tensors() const override { return tensors_; }
  int64_t rows() const override { return tensors_[0].shape[0]; }

  Chosen choose(const FlatInput& input, const TokenRows& rows) const override {
    // Logits up to a constant, whatever the probabilities were mixed from.
    const at::Tensor clean = at::log(at::clamp_min(input.pi, 1e-30));  // [n, E]
    const int64_t experts = clean.size(1);
    if (!rows.ctx.training()) {
      const ops::TopK top = ops::top_k(clean, k_);
      return taken(top, at::zeros_like(clean.detach()).scatter(1, top.ids, 1.0));
    }
    const at::Tensor scale = at::softplus(input.u) + 0.01;
    const at::Tensor z = clean + gate_noise(clean, 0, 1, rows) * scale;
    if (k_ == experts) return taken(ops::top_k(z, k_), at::ones_like(clean.detach()));
    const ops::TopK ranked = ops::top_k(z, k_ + 1);
    // The value to beat: the best of the others.
    const at::Tensor inside = ranked.values.narrow(1, k_, 1), outside = ranked.values.narrow(1, k_ - 1, 1);
    const at::Tensor bound = at::where(z > inside, inside, outside);
    return taken({ranked.ids.narrow(1, 0, k_), ranked.values.narrow(1, 0, k_)},
                 0.5 * (1.0 + at::erf((clean - bound) / scale * M_SQRT1_2)));
  }

 private:
  // `load` [n, E]: the chance of each expert to be chosen.
  Chosen taken(const ops::TopK& top, const at::Tensor& load) const {
    Chosen chosen;
    chosen.ids = top.ids.contiguous();
    chosen.weights = ops::row_softmax(top.values);
    chosen.load = load;
    return chosen;
  }

  int64_t k_;
  std::vector<TensorSpec> tensors_;
};

}  // namespace

std::unique_ptr<FlatChoice> make_noisy_top_k_choice(const MakeChoice& from) {
  read_flat_options(from.options, {"top_k"});
  const int64_t k = top_k_picks(from.options);
  MOREX_CHECK(k >= 1 && k <= from.experts, ErrorKind::kConfig,
              "[router] top_k must be at least 1 and at most the number of experts, {} at {}, got {}", from.experts,
              from.site.module, k);
  if (k == 1 && from.experts > 1)
    from.warnings.add(
        "router:noisy_top_k",
        "[router] noisy_top_k with top_k 1 makes every gate the constant 1, so that the router learns from "
        "losses on the routing only. Hint: a top_k of 2, or kind top_k with renormalise: false");
  return std::make_unique<NoisyTopK>(k, from.experts, from.site.d_in);
}

}  // namespace morex::adapters
