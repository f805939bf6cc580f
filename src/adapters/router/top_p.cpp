// The most probable experts until their probabilities pass top_p, the one that crosses included; gates are the
// probabilities as they are (mixlora-dynamic of MoE-PEFT). temperature divides the probabilities, not the logits, for
// selection and gates; losses read them undivided.
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/le.h>
#include <ATen/ops/roll.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>

#include "adapters/router/table.h"
#include "base/error.h"
#include "ops/top_k.h"

namespace morex::adapters {
namespace {

class TopPExperts : public FlatChoice {
 public:
  TopPExperts(double top_p, double temperature) : top_p_(top_p), temperature_(temperature) {}

  bool sums_to_one() const override { return false; }
  Chosen choose(const FlatInput& input, const TokenRows&) const override {
    const at::Tensor weights = temperature_ > 0.0 ? input.pi / temperature_ : input.pi;  // [n, E]
    const ops::TopK sorted = ops::top_k(weights.detach(), weights.size(1));
    // The mass of the experts before decides; the first is always kept.
    at::Tensor kept = at::roll(at::le(running_sums(sorted.values), top_p_), 1, 1);
    kept.select(1, 0).fill_(true);
    Chosen chosen;
    chosen.selected = at::zeros_like(sorted.values).scatter(1, sorted.ids, kept.to(weights.scalar_type()));
    chosen.weights = weights * chosen.selected;
    return chosen;
  }

 private:
  double top_p_, temperature_;
};

}  // namespace

std::unique_ptr<FlatChoice> make_top_p_choice(const MakeChoice& from) {
  const JsonReader options = read_flat_options(from.options, {"top_p", "temperature"});
  const auto top_p = options.get_or<double>("top_p", 0.8);
  MOREX_CHECK(top_p > 0.0 && top_p <= 1.0, ErrorKind::kConfig, "[router] top_p must be above 0 and at most 1, got {}",
              top_p);
  const auto temperature = options.get_or<double>("temperature", 0.0);
  MOREX_CHECK(std::isfinite(temperature) && temperature >= 0.0, ErrorKind::kConfig,
              "[router] temperature must be a finite number, at least 0 (0: none), got {}", temperature);
  return std::make_unique<TopPExperts>(top_p, temperature);
}

}  // namespace morex::adapters
