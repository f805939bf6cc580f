// Exact identities between methods with flat experts (golden/methods/PROPERTIES.md).
#include <ATen/ops/mean.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>

#include "flat_experts.h"
#include "support/golden_tensors.h"

namespace morex::test {
namespace {

constexpr double kBound = 1e-12;
const std::string kTop2 = R"({"kind": "top_k", "top_k": 2})";
const std::string kAll = R"({"kind": "softmax"})";

std::string mixture(const std::string& keys, const std::string& router) {
  return R"({"kind": "mixture_of_routers", )" + keys + R"("router": )" + router + "}";
}

std::string expert(int64_t e, const char* part) { return "experts." + std::to_string(e) + ".lora_" + part + ".weight"; }

TEST(FlatIdentities, Fresh_experts_are_the_base) {
  FlatExperts mola("{}", kTop2);
  mola.site->set->initialize(3);
  EXPECT_TRUE(near(mola.run(), mola.base(), 1e-14));
}

TEST(FlatIdentities, Equal_experts_are_one_lora_whatever_the_router) {
  FlatExperts mola("{}", kTop2);
  for (int64_t e = 1; e < kExperts; ++e)
    for (const char* part : {"A", "B"}) mola.set(expert(e, part), mola.get(expert(0, part)));
  const at::Tensor update = mola.input().matmul(mola.get(expert(0, "A")).t()).matmul(mola.get(expert(0, "B")).t());
  EXPECT_TRUE(near(mola.run(), mola.base() + 1.5 * update, kBound));
}

TEST(FlatIdentities, Dense_equals_sparse_with_every_expert) {
  FlatExperts loramoe("{}", kAll), mola("{}", R"({"kind": "top_k", "top_k": 4})"),
      entropy("{}", R"({"kind": "entropy", "keep_top_k": 4})"),
      always("{}", R"({"kind": "entropy", "entropy_threshold": 0})"), mass("{}", R"({"kind": "top_p", "top_p": 1})");
  const at::Tensor y = loramoe.run();
  for (FlatExperts* other : {&mola, &entropy, &always, &mass}) {
    other->take(loramoe);
    EXPECT_TRUE(near(other->run(), y, kBound));
  }
}

TEST(FlatIdentities, Shared_a_equals_experts_with_equal_a) {
  FlatExperts hydra(R"({"shared_a": true})", kAll), loramoe("{}", kAll);
  loramoe.take(hydra);
  for (int64_t e = 0; e < kExperts; ++e) loramoe.set(expert(e, "A"), hydra.get("lora_A.weight"));
  EXPECT_TRUE(near(hydra.run(), loramoe.run(), kBound));
}

TEST(FlatIdentities, A_threshold_of_zero_keeps_every_expert) {
  FlatExperts loramoe("{}", kAll), adamole("{}", R"({"kind": "threshold", "max_threshold": 0.25})"),
      constant("{}", R"({"kind": "threshold", "threshold": 0})");
  adamole.take(loramoe);
  constant.take(loramoe);
  adamole.set("moe_gate.threshold.bias", at::zeros({1}, at::kDouble) - 800.0);
  const at::Tensor y = loramoe.run();
  EXPECT_TRUE(near(adamole.run(), y, kBound));
  EXPECT_TRUE(near(constant.run(), y, kBound));
}

TEST(FlatIdentities, An_equal_router_balances_at_the_coefficient) {
  FlatExperts mola("{}", kTop2, R"([{"kind": "balance", "coef": 0.3, "normalised": true}])"),
      mixlora("{}", kTop2, R"([{"kind": "balance", "coef": 0.3}])");
  for (FlatExperts* each : {&mola, &mixlora}) {
    each->set("moe_gate.weight", at::zeros({kExperts, kIn}, at::kDouble));
    each->run();
  }
  EXPECT_NEAR(mola.loss(), 0.3, kBound);
  EXPECT_NEAR(mixlora.loss(), 0.3 * 2, kBound);
}

TEST(FlatIdentities, Experts_move_with_their_router_rows) {
  FlatExperts plain("{}", kTop2), moved("{}", kTop2);
  moved.take(plain);
  const at::Tensor gate = plain.get("moe_gate.weight"), shuffled = plain.get("moe_gate.weight");
  for (int64_t e = 0; e < kExperts; ++e) {
    const int64_t to = (e + 1) % kExperts;
    shuffled[to].copy_(gate[e]);
    for (const char* part : {"A", "B"}) moved.set(expert(to, part), plain.get(expert(e, part)));
  }
  moved.set("moe_gate.weight", shuffled);
  EXPECT_TRUE(near(moved.run(), plain.run(), kBound));
}

TEST(FlatIdentities, One_sub_router_is_the_host_exactly) {
  FlatExperts host("{}", kTop2), mor("{}", mixture(R"("num_routers": 1, )", kTop2));
  mor.take(host);
  mor.set("moe_gate.sub.0.weight", host.get("moe_gate.weight"));
  EXPECT_TRUE(near(mor.run(), host.run(), 0.0));
}

TEST(FlatIdentities, Equal_sub_routers_are_the_host_and_leave_main_alone) {
  for (const char* select : {"mix_then_topk", "topk_then_mix", "topk_mix_topk"}) {
    FlatExperts host("{}", kTop2),
        mor("{}", mixture(R"("num_routers": 3, "select": ")" + std::string(select) + R"(", )", kTop2));
    mor.take(host);
    for (int64_t n = 0; n < 3; ++n)
      mor.set("moe_gate.sub." + std::to_string(n) + ".weight", host.get("moe_gate.weight"));
    EXPECT_TRUE(near(mor.run(), host.run(), kBound)) << select;
    nn::RoutingReport report;
    (mor.site->forward(mor.input(), mor.ctx, report) * filler(7, {kTokens, kOut})).sum().backward();
    const at::Tensor gradient = mor.site->grad("moe_gate.main.weight");
    EXPECT_TRUE(near(gradient, at::zeros_like(gradient), 1e-14)) << select;
  }
}

TEST(FlatIdentities, Uniform_logits_are_one_router_with_the_mean_weight) {
  FlatExperts host("{}", kTop2), mor("{}", mixture(R"("combine": "logit", "weighting": "uniform", )", kTop2));
  mor.take(host);
  host.set("moe_gate.weight", (mor.get("moe_gate.sub.0.weight") + mor.get("moe_gate.sub.1.weight")) / 2);
  EXPECT_TRUE(near(mor.run(), host.run(), kBound));
}

TEST(FlatIdentities, A_certain_main_router_is_the_host_of_its_choice) {
  FlatExperts host("{}", kTop2), mor("{}", mixture("", kTop2));
  mor.take(host);
  host.set("moe_gate.weight", mor.get("moe_gate.sub.1.weight"));
  at::Tensor main = at::zeros({2, kIn}, at::kDouble), positive = mor.input();
  positive.select(1, 0).fill_(2.0);
  main[1][0] = 1e4;
  mor.set("moe_gate.main.weight", main);
  nn::RoutingReport report;
  const at::NoGradGuard guard;
  EXPECT_TRUE(
      near(mor.site->forward(positive, mor.ctx, report), host.site->forward(positive, host.ctx, report), kBound));
}

TEST(FlatIdentities, Without_selection_a_mixture_is_the_mean_of_its_hosts) {
  FlatExperts mor("{}", mixture(R"("weighting": "uniform", )", kAll));
  at::Tensor sum = at::zeros({kTokens, kOut}, at::kDouble);
  for (int64_t n = 0; n < 2; ++n) {
    FlatExperts host("{}", kAll);
    host.take(mor);
    host.set("moe_gate.weight", mor.get("moe_gate.sub." + std::to_string(n) + ".weight"));
    sum = sum + host.run();
  }
  EXPECT_TRUE(near(mor.run(), sum / 2, kBound));
}

TEST(FlatIdentities, The_three_selections_agree_where_all_are_kept) {
  const std::string all = R"({"kind": "top_k", "top_k": 4})";
  FlatExperts first("{}", mixture("", all));
  const at::Tensor y = first.run();
  for (const char* select : {"topk_then_mix", "topk_mix_topk"}) {
    FlatExperts other("{}", mixture(R"("select": ")" + std::string(select) + R"(", )", all));
    other.take(first);
    EXPECT_TRUE(near(other.run(), y, kBound)) << select;
  }
}

TEST(FlatIdentities, Sub_routers_move_with_the_rows_of_main) {
  FlatExperts plain("{}", mixture("", kTop2)), moved("{}", mixture("", kTop2));
  moved.take(plain);
  moved.set("moe_gate.sub.0.weight", plain.get("moe_gate.sub.1.weight"));
  moved.set("moe_gate.sub.1.weight", plain.get("moe_gate.sub.0.weight"));
  moved.set("moe_gate.main.weight", plain.get("moe_gate.main.weight").flip(0));
  EXPECT_TRUE(near(moved.run(), plain.run(), kBound));
}

TEST(FlatIdentities, Distributions_sum_to_one_and_k_gates_are_open) {
  FlatExperts mor("{}", mixture(R"("num_routers": 3, )", kTop2));
  mor.run();
  const at::Tensor ones = at::zeros({kTokens}, at::kDouble) + 1.0;
  EXPECT_TRUE(near(mor.detail("pi").sum(1), ones, kBound));
  EXPECT_TRUE(near(mor.detail("g").sum(1), ones, kBound));
  EXPECT_TRUE(mor.detail("g").ne(0).sum(1).eq(2).all().item<bool>());
}

// Every router alone and inside every mixture that may hold it.
TEST(FlatIdentities, A_mixture_of_one_is_its_router_for_every_choice) {
  for (const char* router :
       {R"({"kind": "softmax"})", R"({"kind": "top_k", "top_k": 3})", R"({"kind": "top_p", "top_p": 0.6})",
        R"({"kind": "switch", "expert_capacity": 2})", R"({"kind": "noisy_top_k", "top_k": 2})",
        R"({"kind": "threshold"})", R"({"kind": "threshold", "threshold": 0.2})", R"({"kind": "entropy"})"}) {
    const std::string losses = R"([{"kind": "balance", "coef": 1}, {"kind": "z", "coef": 1},
                                   {"kind": "entropy", "coef": 1}, {"kind": "importance", "coef": 1}])";
    FlatExperts host("{}", router, losses), mor("{}", mixture(R"("num_routers": 1, )", router), losses);
    mor.take(host);
    mor.set("moe_gate.sub.0.weight", host.get("moe_gate.weight"));
    for (const nn::Phase phase : {nn::Phase::kPrefill, nn::Phase::kTrain}) {
      host.ctx.phase = mor.ctx.phase = phase;
      EXPECT_TRUE(near(mor.run(), host.run(), kBound)) << router;
      EXPECT_NEAR(mor.loss(), host.loss(), kBound) << router;
    }
  }
}

}  // namespace
}  // namespace morex::test
