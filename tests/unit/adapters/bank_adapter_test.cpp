#include "adapters/bank_adapter.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/sin.h>
#include <ATen/ops/tanh.h>
#include <gtest/gtest.h>

#include "adapters/adapter_set.h"
#include "adapters/mix_node.h"
#include "support/golden_tensors.h"
#include "two_layers.h"

namespace morex::adapters {
namespace {

nn::BatchContext context(int64_t tokens, nn::Phase phase = nn::Phase::kPrefill) {
  nn::BatchContext ctx;
  ctx.batch = 1;
  ctx.length = tokens;
  ctx.phase = phase;
  ctx.seed = 5;
  return ctx;
}

at::Tensor numbers(at::IntArrayRef shape) {
  return at::sin(at::arange(c10::multiply_integers(shape), at::kDouble) * 0.71).view(shape);
}

// All tensors away from their start.
void stir(AdapterSet& set) {
  const at::NoGradGuard guard;
  at::Tensor values = set.parameters().values();
  values.copy_(numbers(values.sizes()) * 0.3);
}

std::vector<at::Tensor> outputs(const nn::LinearGroup& group, const at::Tensor& x, const nn::BatchContext& ctx) {
  nn::RoutingReport report;
  std::vector<at::Tensor> y = group.forward(x, ctx, report);
  for (at::Tensor& tensor : y) tensor = tensor.detach();
  return y;
}

TEST(BankAdapter, Sites_of_one_group_share_the_down_product_and_keep_their_own_ranks) {
  test::TwoLayers model(at::kDouble);
  Warnings warnings(true, false);
  const auto set = AdapterSet::create({{"r", 2},
                                       {"lora_alpha", 6},
                                       {"target_modules", {"q_proj", "v_proj"}},
                                       {"rank_pattern", {{"v_proj", 3}}},
                                       {"alpha_pattern", {{"v_proj", 12}}}},
                                      model.slots, at::kDouble, at::kCPU, warnings);
  EXPECT_EQ(set->parameters().leaves()[0].shape, (std::vector<int64_t>{5, 8}));
  stir(*set);
  const at::Tensor x = numbers({3, 8});
  const std::vector<at::Tensor> bare = outputs(model.groups[0], x, context(3));
  set->attach();
  const std::vector<at::Tensor> with = outputs(model.groups[0], x, context(3));
  const auto named = [&](const std::string& name) {
    for (const nn::NamedView& view : set->parameters().views())
      if (view.name == "base_model.model.model.layers.0.self_attn." + name) return set->parameters().named_value(view);
    return at::Tensor();
  };
  for (const auto& [member, name, scale] :
       {std::tuple<size_t, std::string, double>{0, "q_proj", 3.0}, {2, "v_proj", 4.0}}) {
    const at::Tensor update = at::mm(at::mm(x, named(name + ".lora_A.weight").t()), named(name + ".lora_B.weight").t());
    EXPECT_TRUE(test::near(with[member], bare[member] + scale * update, 1e-14));
  }
  EXPECT_TRUE(test::same_bits(with[1], bare[1]));
}

TEST(BankAdapter, Off_is_the_base_and_so_is_a_fresh_one) {
  for (const Json& method : {Json{{"r", 2}}, Json{{"method", "smore"}, {"experts", {{"ranks", {1, 2}}}}}}) {
    test::TwoLayers model;
    Warnings warnings(true, false);
    const at::Tensor x = numbers({3, 8}).to(at::kFloat);
    const std::vector<at::Tensor> bare = outputs(model.groups[2], x, context(3));
    const auto set = AdapterSet::create(method, model.slots, at::kFloat, at::kCPU, warnings);
    set->initialize(1);
    set->attach();
    const std::vector<at::Tensor> fresh = outputs(model.groups[2], x, context(3));
    stir(*set);
    const std::vector<at::Tensor> on = outputs(model.groups[2], x, context(3));
    set->detach();
    const std::vector<at::Tensor> off = outputs(model.groups[2], x, context(3));
    for (size_t i = 0; i < bare.size(); ++i) {
      EXPECT_TRUE(at::equal(fresh[i], bare[i]));
      EXPECT_FALSE(at::allclose(on[i], bare[i]));
      EXPECT_TRUE(test::same_bits(off[i], bare[i]));
    }
  }
}

TEST(BankAdapter, Trees_and_low_rank_live_side_by_side_in_one_group) {
  test::TwoLayers model(at::kDouble);
  Warnings warnings(true, false);
  const Json tree = {{"method", "smore"}, {"experts", {{"ranks", {1, 2}}}}, {"target_modules", {"up_proj"}}};
  const Json lora = {{"r", 2}, {"target_modules", {"gate_proj"}}};
  const auto both = AdapterSet::create({{"adapters", {tree, lora}}}, model.slots, at::kDouble, at::kCPU, warnings);
  both->initialize(9);
  stir(*both);
  both->attach();
  const at::Tensor x = numbers({5, 8});
  const std::vector<at::Tensor> together = outputs(model.groups[2], x, context(5));
  // Alone, with the same tensors, each gives the same.
  for (const auto& [method, member] : {std::pair<Json, size_t>{tree, 1}, {lora, 0}}) {
    const auto alone = AdapterSet::create(method, model.slots, at::kDouble, at::kCPU, warnings);
    const at::NoGradGuard guard;
    for (const nn::NamedView& view : alone->parameters().views())
      for (const nn::NamedView& source : both->parameters().views())
        if (view.name == source.name)
          alone->parameters().named_value(view).copy_(both->parameters().named_value(source));
    alone->attach();
    EXPECT_TRUE(test::near(outputs(model.groups[2], x, context(5))[member], together[member], 1e-13));
    alone->detach();
  }
}

TEST(BankAdapter, Dropout_works_in_training_only_and_never_on_routers) {
  test::TwoLayers model(at::kDouble);
  Warnings warnings(true, false);
  const auto set = AdapterSet::create({{"r", 2}, {"lora_dropout", 0.5}}, model.slots, at::kDouble, at::kCPU, warnings);
  stir(*set);
  set->attach();
  const at::Tensor x = numbers({6, 8});
  const at::Tensor still = outputs(model.groups[1], x, context(6))[0];
  const nn::BatchContext train = context(6, nn::Phase::kTrain);
  const at::Tensor dropped = outputs(model.groups[1], x, train)[0];
  EXPECT_FALSE(at::allclose(dropped, still));
  EXPECT_TRUE(test::same_bits(outputs(model.groups[1], x, train)[0], dropped));
  nn::BatchContext next = train;
  ++next.step;
  EXPECT_FALSE(at::allclose(outputs(model.groups[1], x, next)[0], dropped));
}

TEST(BankAdapter, Routers_run_in_float32_on_a_bfloat16_base) {
  test::TwoLayers low(at::kBFloat16), high(at::kFloat);
  Warnings warnings(true, false);
  const Json method = {{"method", "smore"}, {"experts", {{"ranks", {1, 2}}}}, {"target_modules", {"up_proj"}}};
  const auto a = AdapterSet::create(method, low.slots, at::kFloat, at::kCPU, warnings);
  const auto b = AdapterSet::create(method, high.slots, at::kFloat, at::kCPU, warnings);
  stir(*a);
  stir(*b);
  a->attach();
  b->attach();
  const at::Tensor x = numbers({40, 8}).to(at::kBFloat16);
  nn::RoutingReport low_report, high_report;
  low_report.keep_details = high_report.keep_details = true;
  const at::Tensor y = low.groups[2].forward(x, context(40), low_report)[1];
  high.groups[2].forward(x.to(at::kFloat), context(40), high_report);
  EXPECT_EQ(y.scalar_type(), at::kBFloat16);
  ASSERT_FALSE(low_report.details.empty());
  for (const auto& [name, detail] : low_report.details) {
    if (name.find("level") == std::string::npos) continue;
    EXPECT_TRUE(test::near(detail, high_report.details.at(name), 1e-6)) << name;
  }
  y.sum().backward();
  EXPECT_EQ(a->parameters().grads().scalar_type(), at::kFloat);
  EXPECT_GT(a->parameters().grads().abs().sum().item<double>(), 0.0);
}

TEST(BankAdapter, Cached_positions_in_the_mask_are_left_out) {
  test::TwoLayers model;
  Warnings warnings(true, false);
  const auto set = AdapterSet::create({{"method", "smore"}, {"experts", {{"ranks", {1, 2}}}}}, model.slots, at::kFloat,
                                      at::kCPU, warnings);
  stir(*set);
  set->attach();
  nn::BatchContext ctx = context(1, nn::Phase::kDecode);
  ctx.batch = 2;
  ctx.token_mask = at::ones({2, 7}, at::kBool);
  nn::RoutingReport report;
  EXPECT_EQ(model.groups[2].forward(numbers({2, 8}).to(at::kFloat), ctx, report)[0].size(0), 2);
  EXPECT_TRUE(report.gates.empty());  // decoding forms no losses
}

TEST(BankAdapter, Chunks_of_the_middle_do_not_show) {
  const auto body = std::make_shared<const MixBody>(
      [](const std::vector<at::Tensor>& rows, const std::vector<at::Tensor>& shared, int64_t, bool) {
        const at::Tensor z = at::tanh(at::mm(rows[0], shared[0])) * rows[1];
        return MixResult{z, {z.square().sum(0)}};
      });
  const auto run = [&](int64_t chunk, bool keep) {
    const std::vector<at::Tensor> rows = {numbers({7, 3}).requires_grad_(true), numbers({7, 1}).requires_grad_(true)};
    const std::vector<at::Tensor> shared = {numbers({3, 4}).requires_grad_(true)};
    const MixResult result = run_mix(body, rows, shared, chunk, keep);
    ((result.z * numbers({7, 4})).sum() + result.sums[0].prod()).backward();
    return std::vector<at::Tensor>{result.z.detach(), result.sums[0].detach(), rows[0].grad(), rows[1].grad(),
                                   shared[0].grad()};
  };
  const std::vector<at::Tensor> whole = run(100, false);
  for (const auto& parts : {run(3, false), run(3, true), run(100, true)}) {
    for (size_t i = 0; i < whole.size(); ++i) EXPECT_TRUE(test::near(parts[i], whole[i], 1e-13)) << i;
  }
}

// A structure with a per-output factor at the end, as DoRA has.
class Scaled : public Structure {
 public:
  explicit Scaled(const Site& site) {
    tensors_ = {{"a", Place::kDown, {1, site.d_in}, Init::constant(0.5)},
                {"b", Place::kUp, {site.d_out, 1}, Init::constant(0.25)},
                {"bias", Place::kUpBias, {site.d_out}, Init::constant(1.0)},
                {"factor", Place::kOwn, {site.d_out}, Init::constant(3.0)}};
  }
  int64_t down_rows() const override { return 1; }
  int64_t up_rows() const override { return 1; }
  const std::vector<TensorSpec>& tensors() const override { return tensors_; }
  at::Tensor mix(const at::Tensor& h, const Gates&, const std::vector<at::Tensor>&, const TokenRows&) const override {
    return h;
  }
  bool scales_output() const override { return true; }
  at::Tensor output_scale(const SiteTensors& tensors, const nn::LinearMember&, Recorder*) const override {
    return tensors.own[3];
  }
  StructureCost cost(const Site&) const override { return {}; }
  std::string why_not_mergeable() const override { return ""; }

 private:
  std::vector<TensorSpec> tensors_;
};

TEST(BankAdapter, A_structure_may_scale_base_and_update_together) {
  test::TwoLayers model(at::kDouble);
  nn::LinearGroup& group = model.groups[1];
  Warnings warnings(true, false);
  BankSite site;
  site.site = {group.members[0].module, 0, 8, 8};
  site.member = &group.members[0];
  site.structure = std::make_unique<Scaled>(site.site);
  const Json none = {{"kind", "none"}};
  site.router = find_router("none", "router").make({none, {}, site.site, warnings});
  site.prior = find_prior("none", "prior").make({none, {}, site.site});
  std::vector<BankSite> sites;
  sites.push_back(std::move(site));
  nn::ParameterStore store;
  BankAdapter bank(std::move(sites));
  bank.declare(store);
  store.allocate(at::kDouble, at::kCPU);
  bank.initialize(1);
  const at::Tensor x = numbers({3, 8}), base = outputs(group, x, context(3))[0];
  group.adapter = &bank;
  const at::Tensor expected = 3.0 * (base + 0.125 * x.sum(1, true) + 1.0);
  EXPECT_TRUE(test::near(outputs(group, x, context(3))[0], expected, 1e-14));
}

}  // namespace
}  // namespace morex::adapters
