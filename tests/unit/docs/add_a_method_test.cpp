// Runs the structure, the router and the prior that docs/add_a_method.md builds.
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include "adapters/bank_adapter.h"
#include "adapters/router/flat_router.h"
#include "base/warnings.h"

namespace morex::adapters {

// The page's.
std::unique_ptr<Structure> make_diagonal(const MakeStructure& from);
std::unique_ptr<FlatChoice> make_near_best_choice(const MakeChoice& from);
bool liking_fits(GateKind kind);
std::unique_ptr<Prior> make_liking(const MakePrior& from);

namespace {

// The page's table lines.
constexpr RouterKind kNearBest = {"near_best", flat_gives, flat_fills_all, make_flat_router, make_near_best_choice};
constexpr PriorKind kLiking = {"liking", liking_fits, make_liking};

TEST(AddAMethod, the_pages_structure_trains_between_the_two_products) {
  const Site site{"model.layers.0.self_attn.q_proj", 0, 6, 5};
  Warnings warnings(false, false);
  const Json options = {{"kind", "diagonal"}, {"r", 3}, {"lora_alpha", 6}};
  const Json none = {{"kind", "none"}};
  nn::LinearMember member{site.module, {at::randn({5, 6}, at::kDouble), false}, {}};
  BankSite bank_site;
  bank_site.site = site;
  bank_site.member = &member;
  bank_site.structure = make_diagonal({options, site, false, warnings});
  bank_site.router = find_router("none", "test").make({none, {}, site, warnings});
  bank_site.prior = find_prior("none", "test").make({none, {}, site});
  std::vector<BankSite> sites;
  sites.push_back(std::move(bank_site));
  BankAdapter adapter(std::move(sites));
  nn::ParameterStore store;
  adapter.declare(store);
  store.allocate(at::kDouble, at::kCPU);
  adapter.initialize(1);

  nn::BatchContext ctx;
  ctx.batch = 1;
  ctx.length = 4;
  ctx.phase = nn::Phase::kTrain;
  nn::RoutingReport report;
  const at::Tensor x = at::randn({4, 6}, at::kDouble);
  const auto run = [&] {
    nn::GroupOutputs y(std::vector<at::Tensor>{at::mm(x, member.weight.value.t())});
    adapter.apply(x, y, ctx, report);
    return y.formed(0);
  };
  const at::Tensor base = at::mm(x, member.weight.value.t());
  EXPECT_TRUE(run().equal(base)) << "a fresh adapter is the base";

  std::map<std::string, at::Tensor> named;
  for (const nn::NamedView& view : store.views()) {
    named[view.name.substr(view.name.rfind(site.module) + site.module.size() + 1)] = store.named_value(view);
  }
  ASSERT_EQ(named.size(), 3u);
  named["lora_B.weight"].copy_(at::randn({5, 3}, at::kDouble));
  named["lora_gain"].copy_(at::randn({3}, at::kDouble));
  const at::Tensor update = at::mm(named["lora_B.weight"] * named["lora_gain"], named["lora_A.weight"]) * 2.0;
  EXPECT_LT((run() - base - at::mm(x, update.t())).abs().max().item<double>(), 1e-12);

  store.zero_grads();
  run().square().sum().backward();
  for (const nn::NamedView& view : store.views()) {
    EXPECT_GT(store.named_grad(view).abs().max().item<double>(), 0) << view.name;
  }
}

TEST(AddAMethod, the_pages_router_keeps_the_experts_near_the_best) {
  const Site site{"model.layers.0.self_attn.q_proj", 0, 6, 5};
  Warnings warnings(false, false);
  const Json options = {{"kind", "near_best"}, {"share", 0.5}};
  const auto choice = kNearBest.choice({options, 4, site, warnings});
  const at::Tensor pi = at::tensor({0.4, 0.3, 0.19, 0.11, 0.1, 0.7, 0.1, 0.1}, at::kDouble).view({2, 4});
  const nn::BatchContext ctx;
  const Chosen chosen = choice->choose({pi, {}, {}}, {ctx, site, 0, 2, {}, nullptr});
  const at::Tensor expected = at::tensor({4.0 / 7, 3.0 / 7, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0}, at::kDouble).view({2, 4});
  EXPECT_LT((chosen.weights - expected).abs().max().item<double>(), 1e-15);
  EXPECT_TRUE(chosen.selected.equal((expected > 0).to(at::kDouble)));
  const Json bad = {{"kind", "near_best"}, {"share", 0.0}};
  EXPECT_THROW(kNearBest.choice({bad, 4, site, warnings}), Error);
}

TEST(AddAMethod, the_pages_prior_learns_whom_to_like) {
  const Site site{"model.layers.0.self_attn.q_proj", 0, 6, 5};
  Warnings warnings(false, false);
  const Json router = {{"kind", "top_k"}, {"top_k", 2}}, prior = {{"kind", "liking"}};
  const GateShape shape{GateKind::kFlat, {{4, 2}}};
  ASSERT_TRUE(kLiking.fits(shape.kind));
  EXPECT_FALSE(kLiking.fits(GateKind::kTree));
  const auto gate = find_router("top_k", "test").make({router, shape, site, warnings});
  const auto liking = kLiking.make({prior, shape, site});
  ASSERT_EQ(liking->tensors().size(), 1u);

  const at::Tensor u = at::randn({3, 4}, at::kDouble);
  at::Tensor bias = at::tensor({0.0, 0.0, 0.0, 50.0}, at::kDouble).requires_grad_(true);
  nn::BatchContext ctx;
  ctx.batch = 1, ctx.length = 3;
  const Gates gates = gate->route(u, {at::Tensor()}, *liking, {bias}, {ctx, site, 0, 3, {}, nullptr});
  EXPECT_TRUE(gates.levels[0].ids.select(2, 0).eq(3).all().item<bool>()) << "the liked expert comes first";
  gates.levels[0].weights.select(2, 1).sum().backward();
  EXPECT_GT(bias.grad().abs().max().item<double>(), 0.0);
}

}  // namespace
}  // namespace morex::adapters
