// Temperature and jitter of routers: against scaled weights and a multiplied input.
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>

#include "../../property/adapters/flat_experts.h"
#include "base/random.h"
#include "ops/jittered_down.h"
#include "support/golden_tensors.h"
#include "two_layers.h"

namespace morex::test {
namespace {

constexpr double kBound = 1e-12;

std::string with(const std::string& router, const std::string& keys) {
  Json made = parse_json(router, "test");
  Json& inner = made.contains("router") ? made["router"] : made;
  inner.update(parse_json(keys, "test"));
  return made.dump();
}

TEST(RouterTemperature, Is_a_router_with_its_weights_divided) {
  for (const char* router :
       {R"({"kind": "softmax"})", R"({"kind": "top_k"})", R"({"kind": "top_p"})", R"({"kind": "switch"})",
        R"({"kind": "threshold", "threshold": 0.2})", R"({"kind": "entropy"})", R"({"kind": "pair_softmax"})",
        R"({"kind": "task", "tasks": 2})", R"({"kind": "noisy_top_k"})",
        R"({"kind": "mixture_of_routers", "router": {"kind": "top_k"}})",
        R"({"kind": "mixture_of_routers", "combine": "logit", "router": {"kind": "softmax"}})"}) {
    const std::string losses = R"([{"kind": "z", "coef": 1}])";
    FlatExperts tempered("{}", with(router, R"({"logit_temperature": 2.5})"), losses), divided("{}", router, losses);
    for (FlatExperts* each : {&tempered, &divided}) each->ctx.per_sequence["task_ids"] = at::arange(2, at::kLong);
    divided.take(tempered);
    for (const std::string& name : divided.site->names())
      if (name == "moe_gate.weight" || name == "router.weight" || name.starts_with("moe_gate.sub."))
        divided.set(name, divided.get(name) / 2.5);
    EXPECT_TRUE(near(tempered.run(), divided.run(), kBound)) << router;
    EXPECT_NEAR(tempered.loss(), divided.loss(), kBound) << router;
    divided.take(tempered);
    EXPECT_FALSE(near(tempered.run(), divided.run(), 1e-6)) << router << ": the temperature does nothing";
  }
}

TEST(RouterTemperature, Goes_straight_from_the_first_step_to_the_last) {
  const auto at_temperature = [](const std::string& temperature, nn::Phase phase, int64_t step) {
    FlatExperts experts("{}", with(R"({"kind": "softmax"})", "{\"logit_temperature\": " + temperature + "}"));
    experts.ctx.phase = phase;
    experts.ctx.step = step;
    experts.ctx.total_steps = 11;
    return experts.run();
  };
  const std::string line = "[3.0, 0.5]";
  EXPECT_TRUE(at::equal(at_temperature(line, nn::Phase::kTrain, 0), at_temperature("3.0", nn::Phase::kTrain, 0)));
  EXPECT_TRUE(near(at_temperature(line, nn::Phase::kTrain, 5), at_temperature("1.75", nn::Phase::kTrain, 0), kBound));
  EXPECT_TRUE(near(at_temperature(line, nn::Phase::kTrain, 10), at_temperature("0.5", nn::Phase::kTrain, 0), kBound));
  EXPECT_TRUE(at::equal(at_temperature(line, nn::Phase::kPrefill, 3), at_temperature("0.5", nn::Phase::kPrefill, 0)))
      << "what is evaluated is what a finished run evaluates";
}

// A tree's gates score keys: dividing scores is dividing the last layer of the query and its bias.
TEST(RouterTemperature, Divides_the_scores_of_every_level_of_a_tree) {
  for (const char* gate : {"switch", "dense"}) {
    for (const bool mixed : {false, true}) {
      Json plain = {{"kind", "tree_keys"}, {"gate", gate}, {"gate_dims", 3}, {"dim_downproj_x", 5}}, tempered = plain;
      tempered["logit_temperature"] = 0.4;
      const auto recipe = [&](Json router) -> Json {
        if (mixed) router = {{"kind", "mixture_of_routers"}, {"router", router}};
        return {{"experts",
                 {{"kind", "tree"}, {"ranks", {2, 3}}, {"pool", {3, 4}}, {"active", {2, 2}}, {"init", "normal"}}},
                {"router", router}};
      };
      OneSite a(filler(1, {kOut, kIn}), {}, recipe(tempered)), b(filler(1, {kOut, kIn}), {}, recipe(plain));
      const at::NoGradGuard guard;
      for (OneSite* each : {&a, &b}) each->set->initialize(3);
      for (const std::string& name : b.names()) {
        const bool query = name.find("mlp.2.") != std::string::npos;
        b.value(name).copy_(query ? a.value(name) / 0.4 : a.value(name));
      }
      nn::BatchContext ctx;
      ctx.batch = 1;
      ctx.length = kTokens;
      nn::RoutingReport report;
      const at::Tensor x = filler(0, {kTokens, kIn});
      EXPECT_TRUE(near(a.forward(x, ctx, report), b.forward(x, ctx, report), kBound)) << gate << mixed;
    }
  }
}

class RouterJitter : public testing::Test {
 protected:
  static RandomKey key(const nn::BatchContext& ctx) {
    return {ctx.seed, stream_id("jitter " + kSiteModule + " " + std::to_string(ctx.micro_step)),
            static_cast<uint64_t>(ctx.step)};
  }
};

TEST_F(RouterJitter, Multiplies_the_routers_input_and_nothing_else) {
  for (const char* dropout : {"{}", R"({"lora_dropout": 0.5})"}) {
    FlatExperts noisy(dropout, R"({"kind": "softmax", "jitter_noise": 0.4})");
    noisy.ctx.phase = nn::Phase::kTrain;
    noisy.ctx.step = 3;
    noisy.run();
    const at::Tensor factors = ops::jitter_factors(0, kTokens, kIn, 0.4, key(noisy.ctx), at::kDouble);
    const at::Tensor logits = at::mm(noisy.input() * factors, noisy.get("moe_gate.weight").t());
    EXPECT_TRUE(near(noisy.detail("logits"), logits, kBound));
    // The experts see the input as it is: with these gates given, the output is the plain one's.
    if (std::string(dropout) != "{}") continue;
    at::Tensor y = noisy.base();
    const at::Tensor gates = at::softmax(logits, 1);
    for (int64_t e = 0; e < kExperts; ++e) {
      const std::string name = "experts." + std::to_string(e) + ".lora_";
      const at::Tensor h = at::mm(noisy.input(), noisy.get(name + "A.weight").t());
      y = y + 1.5 * gates.narrow(1, e, 1) * at::mm(h, noisy.get(name + "B.weight").t());
    }
    EXPECT_TRUE(near(noisy.run(), y, kBound));
  }
}

TEST_F(RouterJitter, Is_off_in_evaluation_and_the_same_when_run_again) {
  for (const char* router : {R"({"kind": "top_k"})", R"({"kind": "threshold"})", R"({"kind": "pair_softmax"})",
                             R"({"kind": "mixture_of_routers", "router": {"kind": "top_k"}})"}) {
    FlatExperts noisy("{}", with(router, R"({"jitter_noise": 0.5})")), plain("{}", router);
    plain.take(noisy);
    EXPECT_TRUE(near(noisy.run(), plain.run(), 0.0)) << router;
    noisy.ctx.phase = plain.ctx.phase = nn::Phase::kTrain;
    const at::Tensor first = noisy.run();
    EXPECT_FALSE(near(first, plain.run(), 1e-6)) << router;
    EXPECT_TRUE(at::equal(noisy.run(), first)) << router;
    ++noisy.ctx.micro_step;
    EXPECT_FALSE(at::equal(noisy.run(), first)) << router;
    --noisy.ctx.micro_step, ++noisy.ctx.step;
    EXPECT_FALSE(at::equal(noisy.run(), first)) << router;
    --noisy.ctx.step, ++noisy.ctx.seed;
    EXPECT_FALSE(at::equal(noisy.run(), first)) << router;
  }
}

TEST_F(RouterJitter, Must_agree_where_projections_read_the_same_input) {
  TwoLayers model;
  Warnings warnings(true, false);
  const auto entry = [](const char* target, double jitter) -> Json {
    return {{"target_modules", {target}},
            {"experts", {{"kind", "low_rank_experts"}}},
            {"router", {{"kind", "top_k"}, {"jitter_noise", jitter}}}};
  };
  const auto make = [&](double q, double k) {
    adapters::AdapterSet::create({{"adapters", {entry("q_proj", q), entry("k_proj", k)}}}, model.slots, at::kFloat,
                                 at::kCPU, warnings);
  };
  EXPECT_NO_THROW(make(0.1, 0.1));
  EXPECT_THROW(make(0.1, 0.2), Error);
}

TEST(RouterSoftening, Bad_numbers_are_refused) {
  for (const char* keys :
       {R"({"logit_temperature": 0})", R"({"logit_temperature": [1]})", R"({"logit_temperature": [1, -2]})",
        R"({"logit_temperature": "hot"})", R"({"jitter_noise": 1})", R"({"jitter_noise": -0.1})"})
    EXPECT_THROW(FlatExperts("{}", with(R"({"kind": "top_k"})", keys)), Error) << keys;
  EXPECT_THROW(FlatExperts("{}", R"({"kind": "task", "tasks": 2, "jitter_noise": 0.1})"), Error) << "it reads no input";
}

}  // namespace
}  // namespace morex::test
