#include "adapters/method_config.h"

#include <gtest/gtest.h>

#include "adapters/adapter_set.h"
#include "adapters/presets.h"
#include "support/paths.h"
#include "two_layers.h"

namespace morex::adapters {
namespace {

std::string refusal(const Json& method) {
  try {
    read_method(method);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kConfig);
    return error.what();
  }
  return "";
}

std::string refusal_on_model(const Json& method) {
  test::TwoLayers model;
  Warnings warnings(false, false);
  try {
    AdapterSet::create(method, model.slots, at::kFloat, at::kCPU, warnings);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kConfig);
    return error.what();
  }
  return "";
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST(MethodConfig, Lora_keys_stand_at_top_level) {
  const auto entries = read_method({{"method", "lora"}, {"r", 4}, {"lora_alpha", 12}, {"use_rslora", true}});
  ASSERT_EQ(entries.size(), 1U);
  EXPECT_EQ(entries[0].experts, (Json{{"kind", "low_rank"}, {"r", 4}, {"lora_alpha", 12}, {"use_rslora", true}}));
  EXPECT_EQ(entries[0].router["kind"], "none");
  EXPECT_TRUE(entries[0].losses.empty());
}

TEST(MethodConfig, A_preset_is_three_choices_that_keys_override) {
  const auto entries = read_method(
      {{"method", "smore"}, {"experts", {{"ranks", {4}}, {"activation", "relu"}}}, {"router", {{"gate", "dense"}}}});
  Json experts = preset("smore")["experts"], router = preset("smore")["router"];
  experts["ranks"] = {4};
  experts["activation"] = "relu";
  router["gate"] = "dense";
  EXPECT_EQ(entries[0].experts, experts);
  EXPECT_EQ(entries[0].router, router);
  ASSERT_EQ(entries[0].losses.size(), 1U);
  EXPECT_EQ(entries[0].losses[0].coef, 0.01);
  EXPECT_TRUE(entries[0].targets.matches("model.layers.3.mlp.up_proj", 3));
  EXPECT_FALSE(entries[0].targets.matches("model.layers.3.self_attn.q_proj", 3));
}

TEST(MethodConfig, The_list_form_gives_every_part_its_method) {
  const Json list = {{"adapters",
                      {{{"method", "smore"}, {"target_modules", {"down_proj"}}},
                       {{"r", 2}, {"target_modules", {"q_proj"}}, {"layers", {0}}}}}};
  const auto entries = read_method(list);
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_EQ(entries[0].name, "smore");
  EXPECT_EQ(entries[1].name, "lora");
  EXPECT_TRUE(entries[1].targets.matches("model.layers.0.self_attn.q_proj", 0));
  EXPECT_FALSE(entries[1].targets.matches("model.layers.1.self_attn.q_proj", 1));
  // What is written down reads back as the same.
  EXPECT_EQ(method_to_json(read_method(method_to_json(entries))), method_to_json(entries));
}

TEST(MethodConfig, Unknown_names_are_refused_with_the_nearest) {
  EXPECT_TRUE(has(refusal({{"method", "lorra"}}), "'lora'"));
  EXPECT_TRUE(has(refusal({{"lora_alhpa", 3}}), "'lora_alpha'"));
  EXPECT_TRUE(has(refusal({{"losses", {{{"kind", "balanse"}}}}}), "'balance'"));
  EXPECT_TRUE(has(refusal({{"losses", {{{"kind", "balance"}, {"scope", "world"}}}}}), "scope"));
  EXPECT_TRUE(has(refusal_on_model({{"experts", {{"kind", "treee"}}}}), "'tree'"));
  EXPECT_TRUE(has(refusal_on_model({{"method", "smore"}, {"experts", {{"rank", {2}}}}}), "'ranks'"));
  EXPECT_TRUE(has(refusal_on_model({{"method", "smore"}, {"router", {{"gates", "dense"}}}}), "'gate'"));
  EXPECT_TRUE(has(refusal_on_model({{"method", "smore"}, {"router", {{"gate", "swich"}}}}), "'switch'"));
  EXPECT_TRUE(has(refusal_on_model({{"method", "smore"}, {"experts", {{"init", "zero"}}}}), "b_zero"));
}

TEST(MethodConfig, Contradictions_are_refused_with_the_reason) {
  EXPECT_TRUE(has(refusal({{"method", "smore"}, {"r", 4}}), "low_rank"));
  EXPECT_TRUE(has(refusal({{"r", 4}, {"experts", {{"kind", "low_rank"}, {"r", 2}}}}), "twice"));
  EXPECT_TRUE(has(refusal({{"target_modules", ".*q"}, {"layers_to_transform", {1}}}), "layers_to_transform"));
  EXPECT_TRUE(has(refusal({{"target_modules", "("}}), "target_modules"));
  EXPECT_TRUE(has(refusal({{"adapters", {{{"r", 2}}}}, {"r", 3}}), "'r'"));
  EXPECT_TRUE(has(refusal_on_model({{"r", 0}}), "r must be positive"));
  EXPECT_TRUE(has(refusal_on_model({{"lora_dropout", 1.0}}), "lora_dropout"));
  EXPECT_TRUE(has(refusal_on_model({{"target_modules", {"query"}}}), "q_proj"));
  EXPECT_TRUE(has(refusal_on_model({{"adapters",
                                     {{{"r", 2}, {"target_modules", {"q_proj"}}},
                                      {{"r", 3}, {"target_modules", {"q_proj", "k_proj"}}}}}}),
                  "each module may carry one method"));
  const std::string misfit = refusal_on_model({{"experts", {{"kind", "tree"}, {"ranks", {2}}}}});
  EXPECT_TRUE(has(misfit, "a tree of gates")) << misfit;
  EXPECT_TRUE(has(misfit, "tree_keys")) << misfit;
  const std::string other = refusal_on_model({{"r", 2}, {"router", {{"kind", "tree_keys"}}}});
  EXPECT_TRUE(has(other, "no gates")) << other;
  const auto tree = [](Json keys) { return Json{{"method", "smore"}, {"experts", std::move(keys)}}; };
  EXPECT_TRUE(has(refusal_on_model(tree({{"active", {3, 5}}, {"pool", {3, 4}}})), "level 1"));
  EXPECT_TRUE(has(refusal_on_model(tree({{"pool", {3, 4, 5}}})), "pool"));
  EXPECT_TRUE(has(refusal_on_model(tree({{"shared_pool", true}, {"ranks", {2, 3}}})), "shared_pool"));
  EXPECT_TRUE(has(refusal_on_model(tree({{"activation", "prelu|x"}})), "slope"));
}

TEST(MethodConfig, Dead_starts_are_said) {
  test::TwoLayers model;
  Warnings warnings(false, false);
  AdapterSet::create({{"method", "smore"}, {"experts", {{"activation", "relu"}, {"init", "b_zero"}}}}, model.slots,
                     at::kFloat, at::kCPU, warnings);
  EXPECT_EQ(warnings.counts().count("tree_dead_relu"), 1U);
  AdapterSet::create({{"method", "smore"}, {"experts", {{"init", "bw_zero"}}}}, model.slots, at::kFloat, at::kCPU,
                     warnings);
  EXPECT_EQ(warnings.counts().count("tree_dead_levels"), 1U);
}

TEST(MethodConfig, Keys_that_match_nothing_are_said) {
  test::TwoLayers model;
  Warnings warnings(false, false);
  AdapterSet::create(
      {{"r", 2}, {"target_modules", {"q_proj", "qq_proj"}}, {"rank_pattern", {{"k_proj", 3}, {"q_proj", 1}}}},
      model.slots, at::kFloat, at::kCPU, warnings);
  EXPECT_EQ(warnings.counts().size(), 2U);
  EXPECT_EQ(warnings.counts().count("target_modules:qq_proj"), 1U);
  EXPECT_EQ(warnings.counts().count("pattern:k_proj"), 1U);
}

}  // namespace
}  // namespace morex::adapters
