// MixLoRA (Li et al., arXiv 2404.15159): E experts, each the base's gated feed-forward block with LoRA pairs of its own
// on gate, up and down; the router weighs their outputs:
//   FFN_e(x) = W2·a_e + s·B2_e·A2_e·a_e,  a_e = act(W1·x + s·B1_e·A1_e·x) ∘ (W3·x + s·B3_e·A3_e·x)
//   y = Σ_e g_e·FFN_e(x) = W2·Σ_e g_e·a_e + s·Σ_e g_e·B2_e·A2_e·a_e
// W1·x and W3·x are formed once, W2 once on the weighted sum (spec 4.3); the experts are gathered one after another. A
// token that its expert has no room for passes through: y = g·x. Parameters: E·3·r·(d + f) and the router's.
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/where.h>

#include "adapters/bank_adapter.h"
#include "adapters/block_adapter.h"
#include "adapters/expert_rows.h"
#include "adapters/expert_similarity.h"
#include "adapters/group_products.h"
#include "adapters/lora_sources.h"
#include "adapters/named_init.h"
#include "adapters/structure/lora_options.h"
#include "adapters/structure/table.h"
#include "adapters/tally_gates.h"
#include "ops/expert_swiglu.h"
#include "ops/frozen_linear.h"
#include "ops/low_rank.h"

namespace morex::adapters {
namespace {

struct FfnOptions : LoraOptions {
  int64_t experts = 8;
  bool zero_b = true;
};

class FfnExperts : public BlockAdapter {
 public:
  FfnExperts(const MakeBlock& from, const FfnOptions& options);

  const Site& site() const override { return site_; }
  void declare(nn::ParameterStore& store) override;
  void initialize(uint64_t seed) const override { fill_initial(*store_, named_, seed); }
  at::Tensor apply(const nn::Mlp& mlp, const at::Tensor& x, const nn::BatchContext& ctx,
                   nn::RoutingReport& report) const override;

  int64_t parameter_count() const override;
  StructureCost cost() const override;
  GateShape gates() const override { return {GateKind::kFlat, {{options_.experts, picks_}}}; }
  at::Tensor expert_products() const override;
  const Router& router() const override { return *routing_.router; }
  bool reads_other_tokens() const override { return routing_.router->whole_sequences(); }
  const Prior& prior() const override { return *routing_.prior; }
  std::array<MeanUpdate, 2> mean_updates(const at::Tensor& x, const nn::BatchContext& ctx) const override;
  std::string why_not_mergeable() const override {
    return "the gates of a mixture depend on the token and multiply after the non-linearity, so its update is no "
           "matrix "
           "that could be added to a weight";
  }

 private:
  int64_t rows() const { return options_.experts * options_.rank; }  // E·r
  int64_t pair_parameters() const { return 3 * options_.rank * (site_.d_in + inner_); }
  void name(int64_t leaf, const TensorSpec& spec, int64_t first_row, bool transposed);
  void declare_axis(nn::ParameterStore& store, Axis axis, const std::vector<TensorSpec>& specs,
                    std::vector<int64_t>& leaves);
  std::vector<at::Tensor> own(const std::vector<int64_t>& leaves) const;
  LevelGates route(const at::Tensor& u, const nn::BatchContext& ctx, nn::RoutingReport& report) const;

  Site site_;
  int64_t inner_;  // f
  FfnOptions options_;
  int64_t picks_;
  LossNeeds needs_;
  TrainingRules rules_;
  std::shared_ptr<LoraSources> start_;
  std::vector<std::string> modules_;  // of the base's gate, up and down projection
  Routing routing_;
  nn::ParameterStore* store_ = nullptr;
  std::vector<NamedInit> named_;
  // [A1; A3; G] [2·E·r + Q, d]; B1, B3, A2 [E·r, f]; B2 [E·r, d]
  int64_t down_leaf_ = -1, b_gate_ = -1, b_up_ = -1, a_down_ = -1, b_down_ = -1;
  std::vector<int64_t> router_leaves_, prior_leaves_;  // -1: not kOwn
};

FfnExperts::FfnExperts(const MakeBlock& from, const FfnOptions& options)
    : options_(options), picks_(from.picks), needs_(from.needs), rules_(from.rules), start_(from.start) {
  const nn::LinearWeight& gate = from.mlp.gate_up.members[0].weight;
  site_ = {from.mlp.module, from.mlp.layer, gate.in_features(), from.mlp.down.members[0].weight.out_features()};
  inner_ = gate.out_features();
  modules_ = {from.mlp.gate_up.members[0].module, from.mlp.gate_up.members[1].module, from.mlp.down.members[0].module};
  if (start_ != nullptr)
    for (size_t p = 0; p < modules_.size(); ++p)
      start_->claim(modules_[p], options.rank, p < 2 ? site_.d_in : inner_, p < 2 ? inner_ : site_.d_out);
  routing_ = make_routing(from.router, from.prior, gates(), site_, "ffn_experts", from.warnings);
  if (!routing_.router->sums_to_one() || !routing_.prior->keeps_sums())
    from.warnings.add("ffn_experts:gates",
                      fmt::format("[router] experts of kind ffn_experts hold the base's feed-forward block itself, so "
                                  "gates that do not sum to one scale it from the first step on: router {}, prior {}. "
                                  "Hint: top_k with renormalise, or softmax, and no prior start as the base",
                                  from.router.at("kind").get<std::string>(), from.prior.at("kind").get<std::string>()));
}

void FfnExperts::name(int64_t leaf, const TensorSpec& spec, int64_t first_row, bool transposed) {
  nn::NamedView view{kFilePrefix + site_.module + "." + spec.name, leaf, {}};
  const std::vector<int64_t> shape = spec.shape;
  const int64_t count = transposed ? shape.back() : c10::multiply_integers(shape) / shape.back();
  view.view = [=](const at::Tensor& whole) {
    const at::Tensor part = whole.narrow(0, first_row, count);
    return transposed ? part.t() : part.view(shape);
  };
  store_->add_view(view);
  named_.push_back({view, spec.init});
}

void FfnExperts::declare_axis(nn::ParameterStore& store, Axis axis, const std::vector<TensorSpec>& specs,
                              std::vector<int64_t>& leaves) {
  for (const TensorSpec& spec : specs) {
    if (spec.place == Place::kRoute) {
      name(down_leaf_, spec, 2 * rows() + spec.first_row, false);
      leaves.push_back(-1);
      continue;
    }
    MOREX_ASSERT(spec.place == Place::kOwn);
    leaves.push_back(store.declare(site_.module + "." + spec.name, spec.shape, rules_.options(axis, spec)));
    nn::NamedView view{kFilePrefix + site_.module + "." + spec.name, leaves.back(),
                       [](const at::Tensor& leaf) { return leaf; }};
    store.add_view(view);
    named_.push_back({view, spec.init});
  }
}

void FfnExperts::declare(nn::ParameterStore& store) {
  store_ = &store;
  const int64_t d = site_.d_in, r = options_.rank;
  const nn::LeafOptions a = rules_.options(Axis::kExperts);
  const nn::LeafOptions b = rules_.options(Axis::kExperts, {"lora_B.weight", Place::kUp, {d, r}, {}});
  const int64_t q = routing_.router->rows();
  down_leaf_ = store.declare(site_.module + ".down", {2 * rows() + q, d},
                             std::vector<nn::LeafRows>{{2 * rows(), a}, {q, rules_.options(Axis::kRouter)}});
  b_gate_ = store.declare(site_.module + ".gate_proj.up", {rows(), inner_}, b);
  b_up_ = store.declare(site_.module + ".up_proj.up", {rows(), inner_}, b);
  a_down_ = store.declare(site_.module + ".down_proj.down", {rows(), inner_}, a);
  b_down_ = store.declare(site_.module + ".down_proj.up", {rows(), site_.d_out}, b);
  declare_axis(store, Axis::kRouter, routing_.router->tensors(), router_leaves_);
  declare_axis(store, Axis::kPrior, routing_.prior->tensors(), prior_leaves_);

  struct Projection {
    const char* name;
    int64_t in, out, a_leaf, a_row, b_leaf;
  };
  const Projection projections[] = {{"gate_proj", d, inner_, down_leaf_, 0, b_gate_},
                                    {"up_proj", d, inner_, down_leaf_, rows(), b_up_},
                                    {"down_proj", inner_, site_.d_out, a_down_, 0, b_down_}};
  for (const Projection& p : projections) {
    const std::string& module = modules_[static_cast<size_t>(&p - projections)];
    for (int64_t e = 0; e < options_.experts; ++e) {
      const std::string expert = fmt::format("{}.experts.{}", p.name, e);
      Init start_a = Init::kaiming(p.in), start_b = options_.zero_b ? Init::constant(0.0) : Init::kaiming(r);
      if (start_ != nullptr) {
        start_a.pattern = [=, loras = start_] { return loras->a(e, module); };
        start_b.pattern = [=, loras = start_, scale = options_.scale] { return loras->b(e, module, scale); };
      }
      name(p.a_leaf, {expert + ".lora_A.weight", Place::kDown, {r, p.in}, start_a}, p.a_row + e * r, false);
      name(p.b_leaf, {expert + ".lora_B.weight", Place::kUp, {p.out, r}, start_b}, e * r, true);
    }
  }
}

std::vector<at::Tensor> FfnExperts::own(const std::vector<int64_t>& leaves) const {
  std::vector<at::Tensor> tensors;
  for (const int64_t leaf : leaves) tensors.push_back(leaf < 0 ? at::Tensor() : store_->leaf(leaf));
  return tensors;
}

LevelGates FfnExperts::route(const at::Tensor& u, const nn::BatchContext& ctx, nn::RoutingReport& report) const {
  Recorder recorder;
  recorder.keep_details = report.keep_details;
  recorder.keep_distributions = report.tally != nullptr;
  recorder.needs = &needs_;
  const bool reports = ctx.phase != nn::Phase::kDecode || report.keep_details || report.tally != nullptr;
  const TokenRows tokens{ctx, site_, 0, u.size(0), token_mask(ctx, store_->dtype()), reports ? &recorder : nullptr};
  const std::vector<at::Tensor> prior_own = own(prior_leaves_);
  Gates gates = routing_.router->route(u, own(router_leaves_), *routing_.prior, prior_own, tokens);
  gates = routing_.prior->after_choice(std::move(gates), prior_own, tokens);
  if (report.tally != nullptr) tally_gates(gates, recorder, tokens, *report.tally);
  for (nn::GateReport& gate : recorder.gates) {
    gate.site = site_.module;
    gate.layer = site_.layer;
    report.gates.push_back(std::move(gate));
  }
  for (auto& [key, value] : recorder.details) report.details[site_.module + "." + key] = std::move(value);
  return std::move(gates.levels[0]);
}

at::Tensor FfnExperts::apply(const nn::Mlp& mlp, const at::Tensor& x, const nn::BatchContext& ctx,
                             nn::RoutingReport& report) const {
  const at::Tensor& down = store_->leaf(down_leaf_);
  auto [h, u] = GroupProducts({x, down, 2 * rows(), options_.dropout, routing_.router->jitter(), site_.module}, ctx)
                    .both();  // [T, 2·E·r], [T, Q]
  if (!u.defined()) u = at::empty({x.size(0), 0}, down.options().requires_grad(false));
  const LevelGates gates = route(u, ctx, report);
  const RowsByExpert chosen = rows_by_expert(gates, options_.experts);

  const std::vector<at::Tensor> base = mlp.gate_up.forward(x, ctx, report);  // [T, f] each
  const RandomKey key{ctx.seed, stream_id(fmt::format("dropout {} {}", mlp.down.members[0].module, ctx.micro_step)),
                      static_cast<uint64_t>(ctx.step)};
  const auto leaf = [&](int64_t number) { return ctx.fixed_cast(store_->leaf(number), x.scalar_type()); };
  const auto [hidden, z] =
      ops::expert_swiglu({base[0], base[1], h.narrow(1, 0, rows()), h.narrow(1, rows(), rows()), chosen.weights,
                          leaf(b_gate_), leaf(b_up_), leaf(a_down_)},
                         chosen.rows, {options_.scale, mlp.activation, ctx.training() ? options_.dropout : 0.0, key});

  const nn::LinearMember& last = mlp.down.members[0];
  at::Tensor y = ops::frozen_linear(hidden, last.weight.map());  // [T, d]
  y = ops::accumulate_up(y, z, leaf(b_down_));
  if (!last.bias.defined() && !gates.overflow.defined()) return y;
  const at::Tensor total = gates.weights.sum(2);  // [T, 1]
  at::Tensor inside = total;
  if (gates.overflow.defined()) {
    const at::Tensor outside = total * gates.overflow.unsqueeze(1);
    inside = total - outside;
    y = y + outside.to(y.scalar_type()) * x;
  }
  return last.bias.defined() ? y + inside.to(y.scalar_type()) * last.bias : y;
}

std::array<MeanUpdate, 2> FfnExperts::mean_updates(const at::Tensor& x, const nn::BatchContext& ctx) const {
  const at::NoGradGuard guard;
  const at::Tensor down = store_->leaf(down_leaf_).detach();
  const int64_t tokens = x.size(0), experts = options_.experts, wide = 2 * rows();
  nn::RoutingReport report;
  const LevelGates gates = route(ops::down_fp32(x, down.narrow(0, wide, routing_.router->rows())), ctx, report);
  const at::Tensor weights = all_gates(gates, experts).squeeze(1);  // [T, E]
  const at::Tensor total = weights.sum(1, /*keepdim=*/true);
  const at::Tensor mean = (weights / at::where(total.eq(0), 1.0, total)).unsqueeze(2) * options_.scale;  // [T, E, 1]
  const at::Tensor h = ops::down(x, down.narrow(0, 0, wide)).view({tokens, 2, experts, options_.rank});
  const auto weighed = [&](int64_t projection) {
    return (h.select(1, projection) * mean.to(h.scalar_type())).reshape({tokens, rows()});
  };
  return {MeanUpdate{weighed(0), store_->leaf(b_gate_).detach()}, MeanUpdate{weighed(1), store_->leaf(b_up_).detach()}};
}

int64_t FfnExperts::parameter_count() const {
  int64_t total = options_.experts * pair_parameters();
  for (const auto* specs : {&routing_.router->tensors(), &routing_.prior->tensors()})
    for (const TensorSpec& spec : *specs) total += c10::multiply_integers(spec.shape);
  return total;
}

StructureCost FfnExperts::cost() const {
  const int64_t used = picks_ > 0 ? picks_ : options_.experts;
  const double dense = static_cast<double>(3 * rows() * site_.d_in);  // A1, A3, B2 run for all experts
  return {used * pair_parameters(), 2.0 * (dense + static_cast<double>(used * 3 * options_.rank * inner_)),
          2.0 * static_cast<double>(used * pair_parameters())};
}

// An expert's update is that of its three projections together.
at::Tensor FfnExperts::expert_products() const {
  const auto experts = [&](int64_t leaf, int64_t first) {
    const at::Tensor all = store_->leaf(leaf).detach().narrow(0, first, rows());
    return all.view({options_.experts, options_.rank, all.size(1)});
  };
  return update_products(experts(down_leaf_, 0), experts(b_gate_, 0)) +
         update_products(experts(down_leaf_, rows()), experts(b_up_, 0)) +
         update_products(experts(a_down_, 0), experts(b_down_, 0));
}

}  // namespace

std::unique_ptr<BlockAdapter> make_ffn_experts(const MakeBlock& from) {
  const JsonReader json(from.experts, "experts", ErrorKind::kConfig);
  json.refuse_unknown_keys(
      {"kind", "r", "lora_alpha", "lora_dropout", "use_rslora", "init_lora_weights", "num_experts", "init_from"});
  FfnOptions options;
  options.experts = json.get_or<int64_t>("num_experts", options.experts);
  MOREX_CHECK(options.experts > 0, ErrorKind::kConfig, "[experts] num_experts must be positive, got {}",
              options.experts);
  static_cast<LoraOptions&>(options) = read_lora_options(json, from.mlp.module);
  const Json& start = json.raw("init_lora_weights");
  MOREX_CHECK(start.is_null() || start.is_boolean(), ErrorKind::kConfig,
              "[experts] init_lora_weights must be true or false for experts of kind ffn_experts, got {}",
              start.dump());
  options.zero_b = start != Json(false);
  MOREX_CHECK(from.start == nullptr || start.is_null(), ErrorKind::kConfig,
              "[experts] init_from says what each expert's A and B are: it does not go with init_lora_weights");
  return std::make_unique<FfnExperts>(from, options);
}

}  // namespace morex::adapters
