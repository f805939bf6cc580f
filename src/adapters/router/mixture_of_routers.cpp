// Mixture of Routers around a flat router: logits of N sub-routers and of the main router are rows of one product; the
// wrapped router's choice, with its own rows, is made once on the mixture. Router parameters: N·E·d + N·d (learned).
#include <ATen/core/Tensor.h>

#include "adapters/router/flat_router.h"
#include "adapters/router/mixed_routers.h"
#include "adapters/router/softening.h"
#include "adapters/router/table.h"
#include "adapters/router/tree_mixture.h"
#include "base/error.h"

namespace morex::adapters {
namespace {

class MixtureOfRouters : public Router {
 public:
  MixtureOfRouters(const MakeRouter& from, MixtureOptions options, std::unique_ptr<FlatChoice> choice)
      : options_(options),
        experts_(gate_count(from.shape)),
        d_in_(from.site.d_in),
        softening_(read_softening(wrapped_router(from.options))),
        choice_(std::move(choice)) {
    const Init start = gate_init(wrapped_router(from.options), d_in_);
    for (int64_t n = 0; n < options_.routers; ++n)
      tensors_.push_back(
          {"moe_gate.sub." + std::to_string(n) + ".weight", Place::kRoute, {experts_, d_in_}, start, n * experts_});
    if (options_.learned)
      tensors_.push_back(
          {"moe_gate.main.weight", Place::kRoute, {options_.routers, d_in_}, Init::kaiming(d_in_), sub_rows()});
    gate_tensors_ = static_cast<int64_t>(tensors_.size());
    append_choice_tensors(*choice_, sub_rows() + main_rows(), tensors_);
  }

  int64_t rows() const override { return sub_rows() + main_rows() + choice_->rows(); }
  const std::vector<TensorSpec>& tensors() const override { return tensors_; }
  bool dense() const override { return false; }
  bool whole_sequences() const override { return choice_->whole_sequences(); }
  bool sums_to_one() const override { return choice_->sums_to_one(); }
  double jitter() const override { return softening_.jitter; }
  Gates route(const at::Tensor& u, const std::vector<at::Tensor>& own, const Prior& prior,
              const std::vector<at::Tensor>& prior_own, const TokenRows& rows) const override;
  double flops() const override { return 2.0 * static_cast<double>(rows()) * static_cast<double>(d_in_); }
  int64_t active_parameters() const override { return count_parameters(tensors_); }

 private:
  int64_t sub_rows() const { return options_.routers * experts_; }
  int64_t main_rows() const { return options_.learned ? options_.routers : 0; }

  MixtureOptions options_;
  int64_t experts_, d_in_, gate_tensors_ = 0;
  Softening softening_;  // of the wrapped router: its temperature is each sub-router's, all rows see its jitter
  std::unique_ptr<FlatChoice> choice_;
  std::vector<TensorSpec> tensors_;
};

Gates MixtureOfRouters::route(const at::Tensor& u, const std::vector<at::Tensor>& own, const Prior& prior,
                              const std::vector<at::Tensor>& prior_own, const TokenRows& rows) const {
  const int64_t tokens = u.size(0), routers = options_.routers;
  const at::Tensor tempered = softening_.temperature.divide(u.narrow(1, 0, sub_rows()), rows.ctx);
  const at::Tensor logits = prior.before_choice(tempered.reshape({tokens * routers, experts_}), 0, prior_own, rows)
                                .view({tokens, routers, experts_});
  const at::Tensor v = options_.learned ? u.narrow(1, sub_rows(), routers) : at::Tensor();
  const at::Tensor p = main_weights(v, tokens, options_, u.options());  // [T, N]

  FlatInput input;
  input.own.assign(own.begin() + gate_tensors_, own.end());
  if (choice_->rows() > 0) input.u = u.narrow(1, sub_rows() + main_rows(), choice_->rows());
  const Mixed mixed = mix_routers(logits, p, options_, [&](const at::Tensor& pi) {
    input.pi = pi;
    return choice_->choose(input, rows);
  });
  report_flat(mixed.chosen, mixed.pi, logits, rows);
  report_main(p, "main", rows);
  return {{flat_gates(mixed.chosen)}};
}

}  // namespace

bool mixture_gives(GateKind kind) { return kind != GateKind::kNone; }

bool mixture_fills_all(const Json& options) {
  const Json& wrapped = wrapped_router(options);
  return find_router(wrapped["kind"].get<std::string>(), "router.router").fills_all(wrapped);
}

int64_t mixture_picks(const Json& options) {
  const Json& wrapped = wrapped_router(options);
  const RouterKind& kind = find_router(wrapped["kind"].get<std::string>(), "router.router");
  return kind.picks == nullptr ? 0 : kind.picks(wrapped);
}

std::unique_ptr<Router> make_mixture_of_routers(const MakeRouter& from) {
  const MixtureOptions options = read_mixture(from.options);
  const Json& wrapped = wrapped_router(from.options);
  const RouterKind& kind = find_router(wrapped["kind"].get<std::string>(), "router.router");
  if (from.shape.kind == GateKind::kTree) {
    MOREX_CHECK(kind.name == "tree_keys", ErrorKind::kConfig,
                "[router] mixture_of_routers at {} must wrap tree_keys for {}, {} does not give that", from.site.module,
                describe(from.shape), kind.name);
    return make_tree_keys_mixture({wrapped, from.shape, from.site, from.warnings}, options);
  }
  MOREX_CHECK(kind.choice != nullptr, ErrorKind::kConfig,
              "[router] mixture_of_routers at {} wraps a router of one flat pool, {} is none", from.site.module,
              kind.name);
  auto choice = kind.choice({wrapped, gate_count(from.shape), from.site, from.warnings});
  MOREX_CHECK(!choice->whole_sequences() || options.select == MixtureOptions::Select::kMixThenTopK, ErrorKind::kConfig,
              "[router] a router with a capacity must choose after mixing: select must be mix_then_topk with router {}",
              kind.name);
  return std::make_unique<MixtureOfRouters>(from, options, std::move(choice));
}

}  // namespace morex::adapters
