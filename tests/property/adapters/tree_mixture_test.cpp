// Mixture of Routers at the levels of a tree: identities with the tree's own router.
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>

#include "flat_experts.h"
#include "support/golden_tensors.h"

namespace morex::test {
namespace {

struct Tree {
  explicit Tree(const Json& router) {
    const Json recipe = {
        {"experts", {{"kind", "tree"}, {"ranks", {1, 2}}, {"pool", {3, 4}}, {"active", {2, 2}}}},
        {"router", router},
        {"losses", parse_json(R"([{"kind": "balance", "coef": 0.5}, {"kind": "main_balance", "coef": 0.1}])", "test")}};
    site = std::make_unique<OneSite>(filler(1, {kOut, kIn}), filler(2, {kOut}), recipe);
    const at::NoGradGuard guard;
    int64_t number = 10;
    for (const std::string& name : site->names()) {
      const at::Tensor value = site->value(name);
      value.copy_(filler(number++, value.sizes()));
    }
    ctx.batch = 2;
    ctx.length = kTokens / 2;
  }
  at::Tensor run() {
    report = {};
    report.keep_details = true;
    return site->forward(filler(0, {kTokens, kIn}), ctx, report);
  }
  // Every tensor of `host`, its gate networks for each of the `routers` sub-routers.
  void take(const Tree& host, int64_t routers) const {
    const at::NoGradGuard guard;
    for (const std::string& name : host.site->names()) {
      const size_t network = name.find(".mlp.");
      if (!name.starts_with("moe_gate.") || network == std::string::npos) {
        site->value(name).copy_(host.site->value(name));
        continue;
      }
      for (int64_t n = 0; n < routers; ++n)
        site->value(name.substr(0, network) + ".sub." + std::to_string(n) + name.substr(network))
            .copy_(host.site->value(name));
    }
  }

  std::unique_ptr<OneSite> site;
  nn::BatchContext ctx;
  nn::RoutingReport report;
};

Json keys(const char* gate) { return {{"kind", "tree_keys"}, {"gate", gate}, {"gate_dims", 3}, {"dim_downproj_x", 4}}; }

Json mixture(Json options, const char* gate) {
  options["kind"] = "mixture_of_routers";
  options["router"] = keys(gate);
  return options;
}

TEST(TreeMixture, Equal_sub_routers_are_the_host_at_every_level) {
  for (const char* gate : {"switch", "noisy_topk", "dense"}) {
    for (const char* combine : {"prob", "logit"}) {
      Tree host(keys(gate)), mixed(mixture({{"num_routers", 3}, {"combine", combine}}, gate));
      mixed.take(host, 3);
      for (const nn::Phase phase : {nn::Phase::kPrefill, nn::Phase::kTrain}) {
        host.ctx.phase = mixed.ctx.phase = phase;
        EXPECT_TRUE(near(mixed.run().detach(), host.run().detach(), 1e-12)) << gate << " " << combine;
      }
    }
  }
}

TEST(TreeMixture, One_sub_router_mixed_by_logits_is_the_host_exactly) {
  Tree host(keys("switch")), mixed(mixture({{"num_routers", 1}, {"combine", "logit"}}, "switch"));
  mixed.take(host, 1);
  EXPECT_TRUE(near(mixed.run().detach(), host.run().detach(), 0.0));
}

TEST(TreeMixture, Selecting_twice_agrees_with_once_for_equal_sub_routers) {
  Tree host(keys("switch")), mixed(mixture({{"select", "topk_mix_topk"}}, "switch"));
  mixed.take(host, 2);
  EXPECT_TRUE(near(mixed.run().detach(), host.run().detach(), 1e-12));
  EXPECT_NEAR(
      (mixed.site->set->auxiliary_loss(mixed.report) - host.site->set->auxiliary_loss(host.report)).item<double>(),
      0.1 * 2 * 2, 1e-12);  // the balance of the main routers of two levels: N each
}

TEST(TreeMixture, Learns_at_every_level) {
  Tree mixed(mixture({{"num_routers", 2}}, "switch"));
  const at::Tensor y = mixed.run();
  EXPECT_TRUE(near(mixed.report.details.at(kSiteModule + ".level0.main").sum(1),
                   at::zeros_like(y.select(1, 0)).repeat({2}) + 1.0, 1e-12));
  (y * filler(5, {kTokens, kOut})).sum().backward();
  for (const char* level : {"0", "1"})
    for (const char* part : {".sub.0.mlp.0.weight", ".sub.1.mlp.2.bias", ".main.weight", ".keys"})
      EXPECT_TRUE(mixed.site->grad("moe_gate." + std::string(level) + part).abs().max().item<double>() > 0.0);
}

TEST(TreeMixture, What_has_no_fixed_number_of_children_is_refused) {
  EXPECT_THROW(Tree(mixture({{"select", "topk_then_mix"}}, "switch")), Error);
  EXPECT_THROW(Tree(mixture({{"select", "topk_mix_topk"}}, "dense")), Error);
  EXPECT_THROW(Tree({{"kind", "mixture_of_routers"}, {"router", {{"kind", "top_p"}}}}), Error);
}

}  // namespace
}  // namespace morex::test
