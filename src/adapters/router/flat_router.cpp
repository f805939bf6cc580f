#include "adapters/router/flat_router.h"

#include <ATen/core/Tensor.h>

#include <cmath>

#include "adapters/router/softening.h"
#include "base/error.h"
#include "ops/row_softmax.h"

namespace morex::adapters {
namespace {

class FlatRouter : public Router {
 public:
  FlatRouter(const MakeRouter& from, std::unique_ptr<FlatChoice> choice)
      : experts_(gate_count(from.shape)),
        d_in_(from.site.d_in),
        softening_(read_softening(from.options)),
        choice_(std::move(choice)) {
    tensors_ = {{"moe_gate.weight", Place::kRoute, {experts_, d_in_}, gate_init(from.options, d_in_)}};
    append_choice_tensors(*choice_, experts_, tensors_);
  }

  int64_t rows() const override { return experts_ + choice_->rows(); }
  const std::vector<TensorSpec>& tensors() const override { return tensors_; }
  bool dense() const override { return false; }
  bool whole_sequences() const override { return choice_->whole_sequences(); }
  bool sums_to_one() const override { return choice_->sums_to_one(); }
  double jitter() const override { return softening_.jitter; }

  Gates route(const at::Tensor& u, const std::vector<at::Tensor>& own, const Prior& prior,
              const std::vector<at::Tensor>& prior_own, const TokenRows& rows) const override {
    const at::Tensor tempered = softening_.temperature.divide(u.narrow(1, 0, experts_), rows.ctx);
    const at::Tensor logits = prior.before_choice(tempered, 0, prior_own, rows);  // [T, E]
    FlatInput input{ops::row_softmax(logits), {}, {own.begin() + 1, own.end()}};
    if (choice_->rows() > 0) input.u = u.narrow(1, experts_, choice_->rows());
    const Chosen chosen = choice_->choose(input, rows);
    report_flat(chosen, input.pi, logits, rows);
    return {{flat_gates(chosen)}};
  }
  double flops() const override { return 2.0 * static_cast<double>(rows()) * static_cast<double>(d_in_); }
  int64_t active_parameters() const override { return count_parameters(tensors_); }

 private:
  int64_t experts_, d_in_;
  Softening softening_;
  std::unique_ptr<FlatChoice> choice_;
  std::vector<TensorSpec> tensors_;
};

}  // namespace

bool flat_gives(GateKind kind) { return kind == GateKind::kFlat || kind == GateKind::kPairs; }
bool flat_fills_all(const Json&) { return false; }

Init gate_init(const Json& options, int64_t d_in) {
  const auto deviation = JsonReader(options, "router", ErrorKind::kConfig).find<double>("init_std");
  if (!deviation) return Init::kaiming(d_in);
  MOREX_CHECK(std::isfinite(*deviation) && *deviation >= 0.0, ErrorKind::kConfig,
              "[router] init_std must be a finite number, at least 0, got {}", *deviation);
  return Init::normal(*deviation);
}

void append_choice_tensors(const FlatChoice& choice, int64_t first, std::vector<TensorSpec>& tensors) {
  for (TensorSpec spec : choice.tensors()) {
    spec.name = "moe_gate." + spec.name;
    if (spec.place == Place::kRoute) spec.first_row += first;
    tensors.push_back(std::move(spec));
  }
}

int64_t count_parameters(const std::vector<TensorSpec>& tensors) {
  int64_t total = 0;
  for (const TensorSpec& spec : tensors) total += c10::multiply_integers(spec.shape);
  return total;
}

std::unique_ptr<Router> make_flat_router(const MakeRouter& from) {
  const auto kind = JsonReader(from.options, "router", ErrorKind::kConfig).get<std::string>("kind");
  return std::make_unique<FlatRouter>(
      from, find_router(kind, "router").choice({from.options, gate_count(from.shape), from.site, from.warnings}));
}

}  // namespace morex::adapters
