// Runs the structure that docs/add_a_method.md builds.
#include <ATen/core/Tensor.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

#include "adapters/bank_adapter.h"
#include "base/warnings.h"

namespace morex::adapters {

std::unique_ptr<Structure> make_diagonal(const MakeStructure& from);  // the page's

namespace {

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
    std::vector<at::Tensor> y = {at::mm(x, member.weight.value.t())};
    adapter.apply(x, y, ctx, report);
    return y[0];
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

}  // namespace
}  // namespace morex::adapters
