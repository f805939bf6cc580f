// T-REX's token router (arXiv 2404.08985, official code): p = softmax(R·x), one joint softmax over all pairs (i, j) of
// down and up vectors, pair (i, j) at index i·r2 + j. R starts at zero, has no bias. Parameters: r1·r2·d_in.
// It serves a flat pool the same way. With top_k the k largest p stay as they are (not renormalised), the others are 0:
// top_k 6 of 8 is the official code's `sira`; with pairs the official code refuses it.
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/zeros_like.h>

#include "adapters/router/softening.h"
#include "adapters/router/table.h"
#include "base/error.h"
#include "ops/row_softmax.h"
#include "ops/top_k.h"

namespace morex::adapters {
namespace {

class KeepLargest : public FlatChoice {
 public:
  KeepLargest(int64_t k, int64_t experts) : k_(k), all_(k == experts) {}

  bool sums_to_one() const override { return all_; }
  Chosen choose(const FlatInput& input, const TokenRows&) const override {
    Chosen chosen;
    chosen.weights = input.pi;  // [n, E]
    if (!all_) {
      chosen.selected = at::zeros_like(input.pi.detach()).scatter_(1, ops::top_k(input.pi, k_).ids, 1.0);
      chosen.weights = input.pi * chosen.selected;
    }
    chosen.details.emplace_back("p", input.pi);
    return chosen;
  }

 private:
  int64_t k_;
  bool all_;
};

class PairSoftmax : public Router {
 public:
  PairSoftmax(const MakeRouter& from, std::unique_ptr<FlatChoice> choice, Init start)
      : experts_(gate_count(from.shape)),
        d_in_(from.site.d_in),
        softening_(read_softening(from.options)),
        choice_(std::move(choice)) {
    tensors_ = {{"router.weight", Place::kRoute, {experts_, d_in_}, std::move(start)}};
  }

  int64_t rows() const override { return experts_; }
  const std::vector<TensorSpec>& tensors() const override { return tensors_; }
  bool dense() const override { return true; }
  bool sums_to_one() const override { return choice_->sums_to_one(); }
  double jitter() const override { return softening_.jitter; }
  // The product, and six operations an expert for the softmax and the weighing with the prior.
  double flops() const override { return static_cast<double>(experts_) * (2.0 * static_cast<double>(d_in_) + 6.0); }
  int64_t active_parameters() const override { return experts_ * d_in_; }

  Gates route(const at::Tensor& u, const std::vector<at::Tensor>&, const Prior& prior,
              const std::vector<at::Tensor>& prior_own, const TokenRows& rows) const override {
    const at::Tensor logits =
        prior.before_choice(softening_.temperature.divide(u, rows.ctx), 0, prior_own, rows);  // [T, E]
    const at::Tensor p = ops::row_softmax(logits);
    const Chosen chosen = choice_->choose({p, {}, {}}, rows);
    report_flat(chosen, p, logits, rows);
    return {{flat_gates(chosen)}};
  }

 private:
  int64_t experts_, d_in_;
  Softening softening_;
  std::unique_ptr<FlatChoice> choice_;
  std::vector<TensorSpec> tensors_;
};

}  // namespace

bool pair_softmax_gives(GateKind kind) { return kind == GateKind::kPairs || kind == GateKind::kFlat; }

bool pair_softmax_fills_all(const Json&) { return true; }

std::unique_ptr<FlatChoice> make_pair_choice(const MakeChoice& from) {
  const auto top_k = read_flat_options(from.options, {"top_k"}).get_or<int64_t>("top_k", -1);
  MOREX_CHECK(top_k == -1 || (top_k >= 1 && top_k <= from.experts), ErrorKind::kConfig,
              "[router] top_k must be -1 (all) or 1 to {} at {}, got {}", from.experts, from.site.module, top_k);
  return std::make_unique<KeepLargest>(top_k == -1 ? from.experts : top_k, from.experts);
}

std::unique_ptr<Router> make_pair_softmax(const MakeRouter& from) {
  auto choice = make_pair_choice({from.options, gate_count(from.shape), from.site, from.warnings});
  Init start = from.options.contains("init_std") ? gate_init(from.options, from.site.d_in) : Init::constant(0.0);
  return std::make_unique<PairSoftmax>(from, std::move(choice), std::move(start));
}

}  // namespace morex::adapters
