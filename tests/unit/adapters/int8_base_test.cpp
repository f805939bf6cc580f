// Adapters on a base whose weights are held in eight bits: the same as on the matrices that the blocks stand for.
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <gtest/gtest.h>

#include "../../golden/adapters/one_site.h"
#include "base/error.h"
#include "ops/int8_blocks.h"
#include "support/golden_tensors.h"

namespace morex::adapters {
namespace {

constexpr int64_t kD = 6, kF = 40;

at::Tensor numbers(at::IntArrayRef shape, double step) {
  return (at::arange(1, c10::multiply_integers(shape) + 1, at::kDouble) * step).sin().view(shape);
}

// Puts the weight's blocks, or what they stand for, in its place.
void round_weight(nn::LinearMember& member, bool in_8bit) {
  const ops::Int8Blocks blocks = ops::quantize_int8(member.weight.value);
  if (in_8bit) {
    member.weight = {blocks.values, false, blocks.scales};
  } else {
    member.weight = {ops::dequantize_int8(blocks, at::kDouble)};
  }
}

// y and the gradients of everything after one pass, the adapter's tensors being some numbers.
std::vector<at::Tensor> outcome(test::OneSite& site, bool in_8bit) {
  site.set->detach();
  for (nn::LinearGroup* group : site.slots.groups)
    for (nn::LinearMember& member : group->members) round_weight(member, in_8bit);
  site.set->initialize(1);
  site.set->attach();
  {
    const at::NoGradGuard guard;
    double step = 0.2;
    for (const std::string& name : site.names())
      if (name.find("lora_B") != std::string::npos)
        site.value(name).copy_(numbers(site.value(name).sizes(), step += 0.07));
  }
  nn::BatchContext ctx;
  ctx.batch = 2;
  ctx.length = 5;
  nn::RoutingReport report;
  at::Tensor x = numbers({10, kD}, 0.9).requires_grad_(true);
  const at::Tensor y = site.forward(x, ctx, report);
  y.square().sum().backward();
  std::vector<at::Tensor> all = {y.detach(), x.grad()};
  for (const std::string& name : site.names()) all.push_back(site.grad(name));
  return all;
}

void expect_same(test::OneSite& ours, test::OneSite& theirs, double tolerance) {
  const auto actual = outcome(ours, true), expected = outcome(theirs, false);
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) EXPECT_TRUE(test::near(actual[i], expected[i], tolerance)) << i;
}

TEST(Int8Base, Projections_are_adapted_as_their_dequantised_matrix) {
  for (const Json& recipe : {Json{{"method", "lora"}, {"r", 3}}, Json{{"method", "lora"}, {"r", 3}, {"use_dora", true}},
                             Json{{"method", "mola"}}}) {
    SCOPED_TRACE(recipe.dump());
    test::OneSite ours(numbers({kF, kD}, 0.7), numbers({kF}, 0.3), recipe),
        theirs(numbers({kF, kD}, 0.7), numbers({kF}, 0.3), recipe);
    // The magnitudes of DoRA start as float32 norms.
    expect_same(ours, theirs, recipe.contains("use_dora") ? 1e-4 : 1e-10);
  }
}

TEST(Int8Base, Feed_forward_experts_run_on_it) {
  const Json recipe = {{"experts", {{"kind", "ffn_experts"}, {"r", 2}, {"lora_alpha", 3}, {"num_experts", 4}}},
                       {"router", {{"kind", "top_k"}, {"top_k", 2}, {"renormalise", true}}}};
  const auto make = [&] {
    return std::make_unique<test::OneSite>(numbers({kF, kD}, 0.7), numbers({kF, kD}, 0.3), numbers({kD, kF}, 0.45),
                                           nn::Activation::kSilu, recipe);
  };
  const auto ours = make(), theirs = make();
  expect_same(*ours, *theirs, 1e-10);
}

TEST(Int8Base, An_update_is_not_merged_into_it) {
  test::OneSite site(numbers({kF, kD}, 0.7), {}, {{"method", "lora"}, {"r", 3}});
  EXPECT_EQ(site.set->why_not_mergeable(), "");
  round_weight(site.group.members[0], true);
  EXPECT_NE(site.set->why_not_mergeable().find("8 bits"), std::string::npos);
  EXPECT_THROW(site.set->merge_into_base(), Error);
}

TEST(Int8Base, PiSSA_is_refused_with_the_reason) {
  test::OneSite site(numbers({kF, kD}, 0.7), {}, {{"method", "lora"}, {"r", 3}});
  site.set->detach();
  round_weight(site.group.members[0], true);
  const Json pissa = {{"method", "lora"}, {"r", 3}, {"init_lora_weights", "pissa"}, {"target_modules", "all-linear"}};
  try {
    (void)AdapterSet::create(pissa, site.slots, at::kDouble, at::kCPU, site.warnings);
    ADD_FAILURE() << "was accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kConfig);
    EXPECT_NE(std::string(error.what()).find("load_in_8bit"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace morex::adapters
