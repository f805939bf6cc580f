// Experts whose probability reaches a threshold. max_threshold: AdaMoLE (arXiv 2405.00361), a threshold per token,
// tau = max_threshold·sigmoid(<w, x> + b), and the margin above it is the gate: g_e = (pi_e - tau)/Σ_kept, so an expert
// enters with weight 0. threshold: the constant one of MoLE in the same code, g_e = pi_e/Σ_kept. A token that keeps no
// expert has all gates 0. Parameters of the threshold: d_in + 1.
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/ge.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/where.h>

#include "adapters/router/table.h"
#include "base/error.h"

namespace morex::adapters {
namespace {

class ThresholdExperts : public FlatChoice {
 public:
  ThresholdExperts(double limit, bool learned, const MakeChoice& from)
      : limit_(limit), learned_(learned), keeps_one_(limit * static_cast<double>(from.experts) <= 1.0) {
    const int64_t d_in = from.site.d_in;
    if (learned_)
      tensors_ = {{"threshold.weight", Place::kRoute, {1, d_in}, Init::kaiming(d_in)},
                  {"threshold.bias", Place::kOwn, {1}, Init::kaiming(d_in)}};
  }

  const std::vector<TensorSpec>& tensors() const override { return tensors_; }
  int64_t rows() const override { return learned_ ? 1 : 0; }
  bool sums_to_one() const override { return keeps_one_; }

  Chosen choose(const FlatInput& input, const TokenRows&) const override {
    Chosen chosen;
    at::Tensor value = input.pi, kept;  // [n, E]
    if (learned_) {
      const at::Tensor tau = at::sigmoid(input.u + input.own[1]) * limit_;  // [n, 1]
      value = input.pi - tau;
      kept = at::ge(value.detach(), 0);
      chosen.averaged = value;
      chosen.details.emplace_back("tau", tau.squeeze(1));
    } else {
      kept = at::ge(value.detach(), limit_);
    }
    chosen.selected = kept.to(value.scalar_type());
    const at::Tensor raw = value * chosen.selected;
    const at::Tensor sum = raw.sum(1, true);  // [n, 1], 0 where nothing is kept
    chosen.weights = raw / at::where(sum.detach().eq(0), sum + 1.0, sum);
    return chosen;
  }

 private:
  double limit_;
  bool learned_, keeps_one_;
  std::vector<TensorSpec> tensors_;
};

}  // namespace

std::unique_ptr<FlatChoice> make_threshold_choice(const MakeChoice& from) {
  const JsonReader options = read_flat_options(from.options, {"max_threshold", "threshold"});
  const auto constant = options.find<double>("threshold");
  MOREX_CHECK(!constant || !options.has("max_threshold"), ErrorKind::kConfig,
              "[router] threshold is the constant one, max_threshold the bound of a learned one: give one of them");
  // With 1/E at least one expert stays: the largest probability is no smaller.
  const double limit =
      constant ? *constant : options.get_or<double>("max_threshold", 1.0 / static_cast<double>(from.experts));
  MOREX_CHECK(limit >= 0.0 && limit <= 1.0, ErrorKind::kConfig, "[router] {} must be at least 0 and at most 1, got {}",
              constant ? "threshold" : "max_threshold", limit);
  return std::make_unique<ThresholdExperts>(limit, !constant, from);
}

}  // namespace morex::adapters
