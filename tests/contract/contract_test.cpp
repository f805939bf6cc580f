// What every combination of structure, router and prior promises, on a small Llama: one test a combination.
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/linspace.h>
#include <ATen/ops/ones.h>
#include <gtest/gtest.h>

#include <limits>
#include <regex>

#include "base/random.h"
#include "combinations.h"
#include "golden/adapters/training_run.h"
#include "golden/models/model_runs.h"
#include "support/golden_tensors.h"
#include "support/paths.h"

namespace morex::test {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kRows = 2, kLength = 7;
const Json kTraining = {{"lr", 1e-2}, {"betas", {0.9, 0.999}}, {"eps", 1e-8}, {"weight_decay", 0.01}};
const Json kLosses = Json::array({{{"kind", "balance"}, {"coef", 0.1}}});

at::Tensor ids() {  // [B, L]
  return at::arange(kRows * kLength, at::kLong).mul(37).add(11).remainder(250).view({kRows, kLength}).to(test_device());
}

at::Tensor normal(const std::string& name, at::IntArrayRef shape, at::ScalarType dtype) {
  const at::Tensor values = at::ones(shape, at::kDouble);
  fill_normal({7, stream_id(name), 0}, 0, {values.data_ptr<double>(), static_cast<size_t>(values.numel())});
  return values.to(test_device(), dtype);
}

// A base with the combination's adapter on it.
struct Adapted {
  explicit Adapted(const Json& method, at::ScalarType dtype) : dtype(dtype) {
    model = models::load_model(base(), {dtype, test_device()}, warnings);
    set = adapters::AdapterSet::create(method, model->slots(), parameter_dtype(), test_device(), warnings);
    set->initialize(3);
    set->attach();
  }
  Adapted(const fs::path& folder, at::ScalarType dtype) : dtype(dtype) {
    model = models::load_model(base(), {dtype, test_device()}, warnings);
    set = adapters::AdapterSet::load(folder, model->slots(), identity(), parameter_dtype(), test_device(), warnings);
    set->attach();
  }
  static fs::path base() { return source_dir() / "tests" / "golden" / "data" / "gguf" / "llama_untied_hf"; }
  adapters::BaseIdentity identity() const { return {base().string(), model->digest()}; }
  at::ScalarType parameter_dtype() const { return dtype == at::kDouble ? at::kDouble : at::kFloat; }

  nn::BatchContext context(int64_t step) const {
    nn::BatchContext ctx = context_for(ids());
    ctx.phase = nn::Phase::kTrain;
    ctx.seed = 5;
    ctx.step = step;
    ctx.total_steps = 5;
    for (const char* name : {"task_ids", "sample_types"})
      ctx.per_sequence[name] = at::arange(kRows, at::kLong).to(test_device());
    for (const int64_t count : set->sequence_needs().clusters)
      ctx.per_sequence["cluster_scores." + std::to_string(count)] =
          at::linspace(0.1, 0.9, kRows * count, parameter_dtype()).view({kRows, count}).to(test_device());
    return ctx;
  }
  LossParts loss(int64_t step) const { return losses(*model, *set, ids(), ids(), context(step)); }
  // [B·L, D] of a forward pass in training, without a graph.
  at::Tensor hidden(int64_t step = 0) const {
    const at::NoGradGuard guard;
    nn::RoutingReport report;
    return model->hidden(ids(), context(step), report);
  }
  void randomise() {
    const at::NoGradGuard guard;
    for (const nn::NamedView& view : set->parameters().views()) {
      const at::Tensor value = set->parameters().named_value(view);
      value.copy_(normal(view.name, value.sizes(), value.scalar_type()) * 0.3);
    }
  }
  void train(AdamW& optimiser, int64_t first, int64_t last) const {
    for (int64_t step = first; step < last; ++step) {
      loss(step).total().backward();
      optimiser.step();
    }
  }

  at::ScalarType dtype;
  Warnings warnings{false, false};
  std::unique_ptr<models::CausalLm> model;
  std::unique_ptr<adapters::AdapterSet> set;
};

double largest(const at::Tensor& values) { return values.abs().max().item<double>(); }

void expect_neutral_start(const Combination& item) {
  Adapted adapted(item.method, at::kDouble);
  const at::Tensor fresh = adapted.hidden();
  adapted.set->detach();
  const at::Tensor bare = adapted.hidden();
  if (item.neutral_start) {
    EXPECT_LE(largest(fresh - bare), 1e-9) << "a fresh adapter changes the base";
  }
  EXPECT_EQ(adapted.warnings.counts().contains("ffn_experts:gates"), !item.neutral_start)
      << "who does not start as the base says so, and nobody else";
  adapted.set->attach();
  adapted.randomise();
  EXPECT_GT(largest(adapted.hidden() - bare), 1e-6) << "the adapter does nothing";
  adapted.set->detach();
  EXPECT_TRUE(at::equal(adapted.hidden(), bare)) << "detaching must give the base back bit for bit";
}

void expect_counts(const Combination& item) {
  const Adapted adapted(item.method, at::kFloat);
  int64_t sum = 0;
  for (const adapters::SiteCost& cost : adapted.set->costs()) {
    sum += cost.trainable;
    EXPECT_LE(cost.active, cost.trainable) << cost.module;
    EXPECT_LE(cost.sparse_flops_per_token, cost.flops_per_token) << cost.module;
  }
  EXPECT_EQ(sum, adapted.set->parameters().parameter_count());
}

void expect_gradients(const Combination& item) {
  Adapted adapted(item.method, at::kDouble);
  adapted.randomise();
  nn::ParameterStore& store = adapted.set->parameters();
  adapted.loss(0).total().backward();
  // Every kind of tensor moves: experts that no token chose may stay.
  std::map<std::string, double> by_kind;
  for (const nn::NamedView& view : store.views()) {
    double& most = by_kind[std::regex_replace(view.name, std::regex("\\d+"), "#")];
    most = std::max(most, largest(store.named_grad(view)));
  }
  for (const auto& [kind, most] : by_kind) EXPECT_GT(most, 0.0) << kind << " never gets a gradient";
  if (!item.true_gradients) return;

  const at::NoGradGuard guard;
  const at::Tensor direction = normal("direction", {store.size()}, at::kDouble);
  const double expected = (store.grads() * direction).sum().item<double>();
  const at::Tensor start = store.values().clone();
  const auto at_offset = [&](double offset) {
    store.values().copy_(start + direction * offset);
    return adapted.loss(0).total().item<double>();
  };
  // A choice between experts may flip within a step; a wrong gradient disagrees at every step.
  double nearest = std::numeric_limits<double>::infinity();
  for (const double eps : {1e-6, 1e-7, 2e-8}) {
    const double measured = (at_offset(eps) - at_offset(-eps)) / (2 * eps);
    if (std::abs(measured - expected) < std::abs(nearest - expected)) nearest = measured;
  }
  EXPECT_NEAR(nearest, expected, 1e-5 * (1.0 + std::abs(expected)));
}

// Recomputing layers changes neither the loss, nor a gradient, nor what the tally counts: not one bit.
void expect_same_recomputed(const Combination& item, at::ScalarType dtype) {
  Adapted adapted(item.method, dtype);
  adapted.randomise();
  nn::ParameterStore& store = adapted.set->parameters();
  const auto step = [&](int64_t layers) {
    adapted.model->set_recomputed_layers(layers);
    nn::RoutingTally tally(adapted.set->routed_gates());
    for (int64_t micro = 0; micro < 2; ++micro) {  // gradients add up
      nn::BatchContext ctx = adapted.context(1);
      ctx.micro_step = micro;
      ctx.segments = at::arange(kLength, at::kLong).floor_divide(3).expand({kRows, kLength});  // packed
      losses(*adapted.model, *adapted.set, ids(), ids(), ctx, &tally).total().backward();
    }
    tally.flush();
    const at::Tensor grads = store.grads().clone();
    store.zero_grads();
    return std::make_pair(grads, tally.sums().clone());
  };
  const auto [grads, counted] = step(0);
  for (int64_t layers = 1; layers <= adapted.model->config().num_hidden_layers; ++layers) {
    const auto [again, counted_again] = step(layers);
    EXPECT_TRUE(at::equal(again, grads)) << layers << " layers recomputed";
    EXPECT_TRUE(at::equal(counted_again.nan_to_num(), counted.nan_to_num())) << layers << " layers recomputed";
  }
}

void expect_token_by_token(const Combination& item) {
  // One sequence more in the batch, and one less, do not change what a token gets.
  Adapted adapted(item.method, at::kDouble);
  adapted.randomise();
  const at::NoGradGuard guard;
  nn::RoutingReport report;
  nn::BatchContext ctx = adapted.context(0);
  ctx.phase = nn::Phase::kPrefill;
  const at::Tensor two = adapted.model->hidden(ids(), ctx, report);
  ctx.batch = 1;
  for (auto& [name, value] : ctx.per_sequence) value = value.narrow(0, 1, 1);
  const at::Tensor one = adapted.model->hidden(ids().narrow(0, 1, 1), ctx, report);
  EXPECT_LE(largest(one - two.narrow(0, kLength, kLength)), 1e-10);
  // A prefix gives what the whole gives there: nothing looks ahead.
  ctx.length = 1;
  const at::Tensor first = adapted.model->hidden(ids().narrow(0, 1, 1).narrow(1, 0, 1), ctx, report);
  EXPECT_LE(largest(first - two.narrow(0, kLength, 1)), 1e-10);
}

// A generation's fixed values change not one bit of what a prompt or a token gets.
void expect_same_with_fixed_values(const Combination& item, at::ScalarType dtype) {
  Adapted adapted(item.method, dtype);
  adapted.randomise();
  const at::NoGradGuard guard;
  nn::BatchContext plain = adapted.context(0);
  plain.phase = nn::Phase::kPrefill;
  nn::BatchContext fixed = plain;
  fixed.fixed = std::make_shared<nn::FixedValues>();
  const auto hidden = [&](nn::BatchContext ctx, int64_t length) {
    nn::RoutingReport report;
    ctx.length = length;
    return adapted.model->hidden(ids().narrow(1, 0, length), ctx, report);
  };
  for (const int64_t length : {kLength, int64_t{1}, int64_t{1}})  // the last from what the one before has left
    EXPECT_TRUE(at::equal(hidden(fixed, length), hidden(plain, length))) << dtype << ", " << length << " positions";
}

// Padding may be left out of the batch: real tokens and gradients stay what they are. The first sequence is whole, so
// that noise, a function of a token's place, is the same.
void expect_padding_is_nothing(const Combination& item) {
  Adapted adapted(item.method, at::kDouble);
  if (adapted.set->sequence_needs().padding) return;
  adapted.randomise();
  constexpr int64_t kReal = kRows * kLength - 3;
  const at::Tensor real = at::arange(kReal, at::kLong);
  const at::Tensor weights = normal("weights", {kReal, adapted.model->config().hidden_size}, at::kDouble);
  nn::ParameterStore& store = adapted.set->parameters();
  const auto run = [&](const nn::BatchContext& ctx) {
    store.zero_grads();
    nn::RoutingReport report;
    const at::Tensor all = adapted.model->hidden(ids(), ctx, report);
    const at::Tensor hidden = all.narrow(0, 0, kReal), auxiliary = adapted.set->auxiliary_loss(report);
    const at::Tensor loss = (hidden * weights).sum();
    (auxiliary.defined() ? loss + auxiliary : loss).backward();
    return std::pair(hidden.detach(), store.grads().clone());
  };
  nn::BatchContext masked = adapted.context(0), without = masked;
  masked.token_mask = (at::arange(kRows * kLength, at::kLong) < kReal).view({kRows, kLength});
  without.places = real;
  const auto [hidden, grads] = run(masked);
  const auto [hidden_without, grads_without] = run(without);
  EXPECT_LE(largest(hidden - hidden_without), 1e-10);
  EXPECT_LE(largest(grads - grads_without), 1e-10 * (1.0 + largest(grads)));
}

// Whoever looks at the routing sees every gate: what was chosen, from what, and how alike the experts are.
void expect_visible_routing(const Combination& item) {
  Adapted adapted(item.method, at::kDouble);
  adapted.randomise();
  nn::RoutingTally tally(adapted.set->routed_gates());
  const at::NoGradGuard guard;
  nn::RoutingReport report;
  report.tally = &tally;
  adapted.model->hidden(ids(), adapted.context(0), report);
  tally.flush();
  for (const nn::GateNumbers& gate : tally.numbers()) {
    EXPECT_GE(gate.rows, kRows * kLength);
    for (const double entropy : {gate.entropy, gate.entropy_after}) EXPECT_TRUE(entropy >= 0 && entropy < 1 + 1e-6);
  }
  const std::vector<at::Tensor> cosines = adapted.set->expert_cosines();
  ASSERT_EQ(cosines.size(), tally.gates().size());
  for (size_t i = 0; i < cosines.size(); ++i) {
    ASSERT_EQ(cosines[i].size(0), tally.gates()[i].experts);
    EXPECT_LE(largest(cosines[i].diagonal() - 1.0), 1e-9);
    EXPECT_LE(largest(cosines[i] - cosines[i].t()), 1e-9);
  }
}

void expect_exact_resume(const Combination& item) {
  const fs::path folder = scratch_dir("contract_" + item.name);
  const Adapted whole(item.method, at::kFloat);
  AdamW whole_optimiser(whole.set->parameters(), kTraining);
  const double before = whole.loss(0).total().item<double>();
  whole.train(whole_optimiser, 0, 5);
  EXPECT_LT(whole.loss(0).total().item<double>(), before) << "five steps must lower the loss";

  const Adapted start(item.method, at::kFloat);
  AdamW optimiser(start.set->parameters(), kTraining);
  start.train(optimiser, 0, 2);
  start.set->save(folder / "two", start.identity());
  const Adapted resumed(folder / "two", at::kFloat);
  EXPECT_TRUE(at::equal(resumed.set->parameters().values(), start.set->parameters().values()));
  EXPECT_TRUE(at::equal(resumed.hidden(), start.hidden())) << "loaded, the adapter must compute the same bits";
  AdamW resumed_optimiser(resumed.set->parameters(), kTraining);
  resumed_optimiser.take_over(optimiser);
  resumed.train(resumed_optimiser, 2, 5);
  EXPECT_TRUE(at::equal(resumed.set->parameters().values(), whole.set->parameters().values()))
      << "a resumed run must end with the same bits";
  EXPECT_EQ(resumed.set->config(), whole.set->config());
  fs::remove_all(folder);
}

void expect_bfloat16_close(const Combination& item) {
  const Adapted wide(item.method, at::kFloat), narrow(item.method, at::kBFloat16);
  const double a = wide.loss(0).cross_entropy.item<double>(), b = narrow.loss(0).cross_entropy.item<double>();
  EXPECT_NEAR(a, b, 0.05 * std::abs(a));
}

void expect_mergeable_or_refused(const Combination& item) {
  Adapted adapted(item.method, at::kDouble);
  adapted.randomise();
  if (!adapted.set->why_not_mergeable().empty()) {
    EXPECT_THROW(adapted.set->merge_into_base(), Error);
    return;
  }
  const at::Tensor unmerged = adapted.hidden();
  adapted.set->merge_into_base();
  EXPECT_LE(largest(adapted.hidden() - unmerged), 1e-9);
}

class Contract : public testing::TestWithParam<Combination> {};

TEST_P(Contract, Holds) {
  Combination item = GetParam();
  expect_neutral_start(item);
  expect_counts(item);
  expect_gradients(item);
  expect_same_recomputed(item, at::kFloat);
  expect_token_by_token(item);
  for (const at::ScalarType dtype : {at::kDouble, at::kFloat, at::kBFloat16})
    expect_same_with_fixed_values(item, dtype);
  expect_mergeable_or_refused(item);
  expect_padding_is_nothing(item);
  expect_visible_routing(item);
  expect_bfloat16_close(item);
  expect_exact_resume(item);
  if (item.method["router"]["kind"] != "none" && item.method["router"]["kind"] != "task") {
    item.method["losses"] = kLosses;
    expect_gradients(item);
    expect_padding_is_nothing(item);
    expect_same_recomputed(item, at::kBFloat16);
  }
}

std::vector<Combination> combinations(bool fitting) {
  std::vector<Combination> some;
  for (Combination& item : all_combinations())
    if (item.fits == fitting) some.push_back(std::move(item));
  return some;
}

INSTANTIATE_TEST_SUITE_P(Every, Contract, testing::ValuesIn(combinations(true)),
                         [](const auto& info) { return info.param.name; });

TEST(ContractSuite, Holds_sixty_combinations_or_more) { EXPECT_GE(combinations(true).size(), 60U); }

TEST(ContractSuite, Refuses_what_does_not_fit_with_the_reason) {
  Warnings warnings(false, false);
  const auto model = models::load_model(Adapted::base(), {at::kFloat, test_device()}, warnings);
  const std::vector<Combination> misfits = combinations(false);
  ASSERT_FALSE(misfits.empty());
  for (const Combination& item : misfits) {
    try {
      adapters::AdapterSet::create(item.method, model->slots(), at::kFloat, test_device(), warnings);
      ADD_FAILURE() << item.name << " was accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kConfig) << item.name;
      const std::string message = error.what();
      const bool names_an_axis = message.find(item.method["router"]["kind"].get<std::string>()) != std::string::npos ||
                                 message.find(item.method["prior"]["kind"].get<std::string>()) != std::string::npos;
      EXPECT_TRUE(names_an_axis) << item.name << ": " << message;
    }
  }
}

}  // namespace
}  // namespace morex::test
