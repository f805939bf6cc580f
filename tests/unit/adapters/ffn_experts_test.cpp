// Experts that are whole feed-forward blocks: identities of MixLoRA, and where they may stand.
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/softmax.h>
#include <gtest/gtest.h>

#include "../../golden/adapters/one_site.h"
#include "support/golden_tensors.h"
#include "two_layers.h"

namespace morex::adapters {
namespace {

constexpr int64_t kD = 6, kF = 10, kExperts = 4;

at::Tensor numbers(at::IntArrayRef shape, double step) {
  return (at::arange(1, c10::multiply_integers(shape) + 1, at::kDouble) * step).sin().view(shape);
}

struct Block : test::OneSite {
  explicit Block(const Json& router, const Json& losses = Json::array())
      : OneSite(numbers({kF, kD}, 0.7), numbers({kF, kD}, 0.3), numbers({kD, kF}, 0.45), nn::Activation::kSilu,
                Json::object({{"experts", {{"kind", "ffn_experts"}, {"r", 2}, {"lora_alpha", 3}, {"num_experts", 4}}},
                              {"router", router},
                              {"losses", losses}})) {
    set->initialize(1);
    const at::NoGradGuard guard;
    double step = 0.2;
    for (const std::string& name : names())
      if (name.find("lora_B") != std::string::npos) value(name).copy_(numbers(value(name).sizes(), step += 0.07));
  }
  at::Tensor run(nn::RoutingReport& report) {
    nn::BatchContext ctx;
    ctx.batch = 2;
    ctx.length = 5;
    return forward(x(), ctx, report);
  }
  at::Tensor run() {
    nn::RoutingReport report;
    return run(report);
  }
  static at::Tensor x() { return numbers({10, kD}, 0.9); }
  void copy_from(const Block& other) {
    for (const std::string& name : names()) value(name).copy_(other.value(name));
  }
};

Json top_k(int64_t k, bool renormalise = true) {
  return Json::object({{"kind", "top_k"}, {"top_k", k}, {"renormalise", renormalise}});
}

TEST(FfnExperts, A_fresh_adapter_is_the_base) {
  const at::NoGradGuard guard;
  Block block(top_k(2));
  block.set->initialize(2);
  const at::Tensor fresh = block.run();
  block.set->detach();
  EXPECT_TRUE(test::near(fresh, block.run(), 1e-14));
}

TEST(FfnExperts, Equal_experts_are_the_block_with_merged_weights) {
  const at::NoGradGuard guard;
  Block block(top_k(3));
  for (const std::string& name : block.names()) {
    const size_t at = name.find(".experts.");
    if (at == std::string::npos) continue;
    std::string first = name;
    first[at + 9] = '0';
    block.value(name).copy_(block.value(first));
  }
  const at::Tensor mixed = block.run();
  block.set->detach();
  const auto merge = [&](nn::LinearMember& member, const std::string& name) {
    const std::string expert = name + ".experts.0.lora_";
    member.weight.value =
        member.weight.value + 1.5 * at::mm(block.value(expert + "B.weight"), block.value(expert + "A.weight"));
  };
  merge(block.mlp.gate_up.members[0], "gate_proj");
  merge(block.mlp.gate_up.members[1], "up_proj");
  merge(block.mlp.down.members[0], "down_proj");
  EXPECT_TRUE(test::near(mixed, block.run(), 1e-13));
}

TEST(FfnExperts, All_experts_chosen_are_the_dense_mixture) {
  const at::NoGradGuard guard;
  Block sparse(top_k(4)), dense(Json::object({{"kind", "softmax"}})),
      nucleus(Json::object({{"kind", "top_p"}, {"top_p", 1.0}}));
  dense.copy_from(sparse);
  nucleus.copy_from(sparse);
  EXPECT_TRUE(test::near(sparse.run(), dense.run(), 1e-13));
  EXPECT_TRUE(test::near(sparse.run(), nucleus.run(), 1e-13));
}

TEST(FfnExperts, A_switch_with_room_is_the_most_probable_expert) {
  const at::NoGradGuard guard;
  Block one(top_k(1, false)), roomy(Json::object({{"kind", "switch"}, {"expert_capacity", 5}}));
  roomy.copy_from(one);
  EXPECT_TRUE(test::near(roomy.run(), one.run(), 1e-14));
}

TEST(FfnExperts, Without_room_the_input_passes_weighted) {
  const at::NoGradGuard guard;
  Block full(Json::object({{"kind", "switch"}, {"expert_capacity", 0}}));
  const at::Tensor pi = at::softmax(at::mm(Block::x(), full.value("moe_gate.weight").t()), 1);
  EXPECT_TRUE(test::near(full.run(), Block::x() * pi.amax({1}, true), 1e-14));
}

TEST(FfnExperts, A_router_of_zeros_has_the_balance_of_k) {
  Block block(top_k(2), Json::array({{{"kind", "balance"}, {"coef", 0.25}, {"scope", "model"}}}));
  {
    const at::NoGradGuard guard;
    block.value("moe_gate.weight").zero_();
  }
  nn::RoutingReport report;
  block.run(report);
  EXPECT_NEAR(block.set->auxiliary_loss(report).item<double>(), 0.5, 1e-15);
}

TEST(FfnExperts, Gradients_do_not_depend_on_how_a_token_was_reached) {
  // top_k over all experts and the dense router take different ways through the gates.
  const auto run = [](Block& block) {
    block.set->parameters().zero_grads();
    const at::Tensor x = Block::x().requires_grad_(true);
    nn::BatchContext ctx;
    ctx.batch = 2;
    ctx.length = 5;
    nn::RoutingReport report;
    (block.forward(x, ctx, report) * numbers({10, kD}, 1.3)).sum().backward();
    return std::pair{x.grad(), block.set->parameters().grads().clone()};
  };
  Block sparse(top_k(4)), dense(Json::object({{"kind", "softmax"}}));
  {
    const at::NoGradGuard guard;
    dense.copy_from(sparse);
  }
  const auto a = run(sparse), b = run(dense);
  EXPECT_TRUE(test::near(a.first, b.first, 1e-12));
  EXPECT_TRUE(test::near(a.second, b.second, 1e-12));
}

nn::BatchContext training_context(int64_t tokens) {
  nn::BatchContext ctx;
  ctx.batch = 1;
  ctx.length = tokens;
  ctx.phase = nn::Phase::kTrain;
  ctx.seed = 7;
  return ctx;
}

test::OneSite big_block(at::ScalarType dtype, int64_t d, int64_t f, double dropout) {
  return {numbers({f, d}, 0.7).to(dtype) / 8, numbers({f, d}, 0.3).to(dtype) / 8, numbers({d, f}, 0.45).to(dtype) / 8,
          nn::Activation::kSilu,
          Json::object({{"experts",
                         {{"kind", "ffn_experts"},
                          {"r", 4},
                          {"num_experts", 8},
                          {"lora_dropout", dropout},
                          {"init_lora_weights", false}}},
                        {"router", top_k(2)},
                        {"losses", Json::array({{{"kind", "balance"}, {"scope", "model"}}})}})};
}

TEST(FfnExperts, Dropout_is_a_function_of_seed_and_step_and_of_training_only) {
  const at::NoGradGuard guard;
  test::OneSite block = big_block(at::kDouble, 16, 24, 0.5);
  block.set->initialize(1);
  nn::BatchContext ctx = training_context(12);
  const at::Tensor x = numbers({12, 16}, 0.9);
  const auto run = [&] {
    nn::RoutingReport report;
    return block.forward(x, ctx, report);
  };
  const at::Tensor first = run();
  EXPECT_TRUE(test::same_bits(run(), first));
  ctx.step = 1;
  EXPECT_FALSE(run().equal(first));
  ctx.phase = nn::Phase::kPrefill;
  const at::Tensor whole = run();
  EXPECT_FALSE(whole.equal(first));
  ctx.step = 0;
  EXPECT_TRUE(test::same_bits(run(), whole));
}

TEST(FfnExperts, Bfloat16_follows_float32_and_routes_in_float32) {
  const at::Tensor x = numbers({64, 32}, 0.9).to(at::kBFloat16);
  at::Tensor outputs[2], grads[2];
  for (const bool wide : {false, true}) {
    test::OneSite block = big_block(at::kBFloat16, 32, 48, 0.0);
    if (wide) {
      for (nn::LinearGroup* group : block.slots.groups)
        for (nn::LinearMember& member : group->members) member.weight.value = member.weight.value.to(at::kFloat);
    }
    block.set->initialize(1);
    nn::RoutingReport report;
    report.keep_details = true;
    const at::Tensor input = (wide ? x.to(at::kFloat) : x).clone().requires_grad_(true);
    const at::Tensor y = block.forward(input, training_context(64), report);
    (y.sum() + block.set->auxiliary_loss(report)).backward();
    EXPECT_EQ(report.details.at(test::kBlockModule + ".pi").scalar_type(), at::kFloat);
    outputs[wide] = y.detach();
    grads[wide] = block.set->parameters().grads().clone();
  }
  EXPECT_EQ(outputs[0].scalar_type(), at::kBFloat16);
  EXPECT_TRUE(test::near(outputs[0], outputs[1], 0.02 * outputs[1].abs().max().item<double>()));
  EXPECT_TRUE(test::near(grads[0], grads[1], 0.03 * grads[1].abs().max().item<double>()));
}

std::string refusal(const Json& method, bool with_blocks) {
  test::TwoLayers model;
  nn::Mlp mlp;
  if (with_blocks) {
    mlp.module = "model.layers.0.mlp";
    mlp.gate_up = model.groups[2];
    mlp.down = model.groups[3];
    model.slots.groups[2] = &mlp.gate_up;
    model.slots.groups[3] = &mlp.down;
    model.slots.mlps.push_back(&mlp);
  }
  Warnings warnings(false, false);
  try {
    AdapterSet::create(method, model.slots, at::kFloat, at::kCPU, warnings);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kConfig);
    return error.what();
  }
  return "";
}

TEST(FfnExperts, Attention_beside_the_blocks_gets_plain_LoRA) {
  EXPECT_EQ(refusal({{"method", "mixlora"}, {"layers", {0}}}, true), "");
}

TEST(FfnExperts, Half_a_block_is_refused) {
  const std::string said = refusal({{"method", "mixlora"}, {"target_modules", {"q_proj", "up_proj"}}}, true);
  EXPECT_NE(said.find("whole feed-forward block"), std::string::npos) << said;
}

TEST(FfnExperts, A_model_without_blocks_is_refused) {
  const std::string said = refusal({{"method", "mixlora"}}, false);
  EXPECT_NE(said.find("need feed-forward blocks"), std::string::npos) << said;
}

TEST(FfnExperts, Two_methods_on_one_block_are_refused) {
  const Json both = {{"adapters", {{{"method", "mixlora"}}, {{"method", "lora"}, {"target_modules", {"up_proj"}}}}}};
  const std::string said = refusal(both, true);
  EXPECT_NE(said.find("may carry one method"), std::string::npos) << said;
}

TEST(FfnExperts, Cannot_be_merged) {
  Block block(top_k(2));
  EXPECT_NE(block.set->why_not_mergeable().find("after the non-linearity"), std::string::npos);
}

}  // namespace
}  // namespace morex::adapters
