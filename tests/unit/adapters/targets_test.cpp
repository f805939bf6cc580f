#include "adapters/targets.h"

#include <gtest/gtest.h>

namespace morex::adapters {
namespace {

TargetRule rule(const Json& options) { return TargetRule(JsonReader(options, "method", ErrorKind::kConfig)); }

const std::string kQuery = "model.layers.1.self_attn.q_proj";

TEST(TargetRule, A_list_names_paths_or_their_last_components) {
  const TargetRule list = rule({{"target_modules", {"q_proj", "model.layers.0.mlp.up_proj", "layers.2.mlp.up_proj"}}});
  EXPECT_TRUE(list.matches(kQuery, 1));
  EXPECT_FALSE(list.matches("model.layers.1.self_attn.xq_proj", 1));
  EXPECT_TRUE(list.matches("model.layers.0.mlp.up_proj", 0));
  EXPECT_FALSE(list.matches("model.layers.1.mlp.up_proj", 1));
  EXPECT_TRUE(list.matches("model.layers.2.mlp.up_proj", 2));
  EXPECT_FALSE(list.matches("model.layers.12.mlp.up_proj", 12));
}

TEST(TargetRule, All_linear_leaves_the_head_out) {
  const TargetRule all = rule(Json::object());
  EXPECT_TRUE(all.matches(kQuery, 1));
  EXPECT_FALSE(all.matches("lm_head", -1));
  EXPECT_TRUE(rule({{"target_modules", {"lm_head"}}}).matches("lm_head", -1));
}

TEST(TargetRule, An_expression_matches_the_whole_path) {
  const TargetRule expression = rule({{"target_modules", R"(.*\.layers\.(0|1)\.(self_attn\.(q|o)_proj))"}});
  EXPECT_TRUE(expression.matches(kQuery, 1));
  EXPECT_FALSE(expression.matches(kQuery + "_x", 1));
  EXPECT_FALSE(rule({{"target_modules", "q_proj"}}).matches(kQuery, 1));
}

TEST(TargetRule, Excluded_modules_stay_out) {
  EXPECT_FALSE(rule({{"exclude_modules", {"q_proj"}}}).matches(kQuery, 1));
  EXPECT_FALSE(rule({{"exclude_modules", ".*layers.1.*"}}).matches(kQuery, 1));
  EXPECT_TRUE(rule({{"exclude_modules", "layers.1"}}).matches(kQuery, 1));
}

TEST(TargetRule, Layers_are_found_by_their_number_in_the_path) {
  const Json names = {"q_proj"};
  EXPECT_TRUE(rule({{"target_modules", names}, {"layers_to_transform", 1}}).matches(kQuery, 1));
  EXPECT_FALSE(rule({{"target_modules", names}, {"layers_to_transform", {0, 2}}}).matches(kQuery, 1));
  EXPECT_TRUE(rule({{"target_modules", names}, {"layers", {1}}, {"layers_pattern", "layers"}}).matches(kQuery, 1));
  EXPECT_FALSE(rule({{"target_modules", names}, {"layers", {1}}, {"layers_pattern", "blocks"}}).matches(kQuery, 1));
  EXPECT_TRUE(rule({{"layers", {1}}}).matches(kQuery, 1));
  EXPECT_FALSE(rule({{"layers", {0}}}).matches(kQuery, 1));
}

TEST(PatternMap, The_first_key_that_matches_the_end_of_the_path_wins) {
  const PatternMap map({{"^model.layers.1.self_attn.q_proj", 16}, {"q_proj", 3}, {"a|v_proj", 5}}, "rank_pattern");
  EXPECT_EQ(map.find(kQuery), 16.0);
  EXPECT_EQ(map.find("model.layers.2.self_attn.q_proj"), 3.0);
  EXPECT_EQ(map.find("model.layers.2.self_attn.v_proj"), 5.0);
  EXPECT_EQ(map.find("model.layers.2.self_attn.qq_proj"), std::nullopt);
  EXPECT_EQ(map.unmatched({kQuery}), (std::vector<std::string>{"a|v_proj"}));
  EXPECT_THROW(PatternMap({{"(", 1}}, "rank_pattern"), Error);
  EXPECT_THROW(PatternMap({{"x", "1"}}, "rank_pattern"), Error);
}

}  // namespace
}  // namespace morex::adapters
