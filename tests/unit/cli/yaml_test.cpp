#include "cli/yaml.h"

#include <gtest/gtest.h>

namespace morex::cli {
namespace {

std::string error_of(const std::string& text) {
  try {
    parse_yaml(text, "recipe.yaml");
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kConfig);
    return error.what();
  }
  return "";
}

Json parsed(const std::string& text) { return parse_yaml(text, "recipe.yaml"); }

TEST(Yaml, Scalars_have_the_types_of_the_core_schema) {
  EXPECT_EQ(parsed("1e-4"), Json(1e-4));
  EXPECT_EQ(parsed("2.5"), Json(2.5));
  EXPECT_EQ(parsed(".5"), Json(0.5));
  EXPECT_EQ(parsed("-3"), Json(-3));
  EXPECT_TRUE(parsed("16").is_number_integer());
  EXPECT_EQ(parsed("0o17"), Json(15));
  EXPECT_EQ(parsed("0x1F"), Json(31));
  EXPECT_EQ(parsed("true"), Json(true));
  EXPECT_EQ(parsed("~"), Json(nullptr));
  EXPECT_EQ(parsed("\"true\""), Json("true"));
  EXPECT_EQ(parsed("'12'"), Json("12"));
  EXPECT_EQ(parsed("all-linear"), Json("all-linear"));
  EXPECT_EQ(parsed("1_000"), Json("1_000"));
  EXPECT_EQ(parsed("2.0.1"), Json("2.0.1"));
}

TEST(Yaml, Collections_nest_in_block_and_flow_style) {
  const Json recipe = parsed("experts: {kind: tree, ranks: [8, 16]}\nlosses:\n  - kind: balance\n    coef: 0.01\n");
  EXPECT_EQ(recipe["experts"]["ranks"], Json({8, 16}));
  EXPECT_EQ(recipe["losses"][0]["coef"], Json(0.01));
  EXPECT_EQ(parsed(R"({"a": [1, true, null]})"), Json({{"a", {1, true, nullptr}}}));
}

TEST(Yaml, Aliases_repeat_what_they_name) { EXPECT_EQ(parsed("a: &x [1, 2]\nb: *x\n")["b"], Json({1, 2})); }

TEST(Yaml, Ambiguous_words_are_refused_with_their_line) {
  for (const char* word : {"no", "Yes", "on", "OFF"}) {
    const std::string error = error_of(std::string("seed: 1\nshuffle: ") + word);
    EXPECT_NE(error.find("recipe.yaml:2:"), std::string::npos) << error;
    EXPECT_NE(error.find(word), std::string::npos) << error;
  }
  EXPECT_NE(error_of("seed: 010").find("octal"), std::string::npos);
  EXPECT_EQ(parsed("shuffle: \"no\"")["shuffle"], Json("no"));
}

TEST(Yaml, Errors_name_the_line) {
  EXPECT_NE(error_of("a: 1\nb: 2\na: 3\n").find("recipe.yaml:3: the key 'a' stands twice"), std::string::npos);
  EXPECT_NE(error_of("a: 1\nb: [1, 2\n").find("recipe.yaml:"), std::string::npos);
  EXPECT_NE(error_of("a: !custom 3").find("tag"), std::string::npos);
  EXPECT_NE(error_of("a: 99999999999999999999").find("64 bits"), std::string::npos);
  EXPECT_NE(error_of("a: .nan").find("finite"), std::string::npos);
  EXPECT_NE(error_of("a: 1\n---\nb: 2\n").find("one YAML document"), std::string::npos);
}

TEST(Yaml, Nesting_without_end_is_refused) {
  EXPECT_NE(error_of("a: &x [*x]"), "");
  EXPECT_NE(error_of(std::string(100, '[') + std::string(100, ']')), "");
  std::string bomb = "a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n";
  for (int i = 1; i < 12; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int j = 0; j < 10; ++j) bomb += (j == 0 ? "" : ",") + before;
    bomb += "]\n";
  }
  EXPECT_NE(error_of(bomb), "");
}

TEST(Overrides, Dots_lead_into_mappings_and_lists) {
  Json recipe = parsed("experts: {ranks: [4, 4]}\nadapters: [{r: 4}, {r: 4}]\nlearning_rate: 1.0");
  apply_overrides(recipe, {"experts.ranks=[8,16]", "experts.kind=tree", "adapters.1.r=8", "learning_rate=1e-4",
                           "router.gate=switch", "output_dir=a=b", "validation_file="});
  EXPECT_EQ(recipe["experts"], Json({{"ranks", {8, 16}}, {"kind", "tree"}}));
  EXPECT_EQ(recipe["adapters"][1]["r"], Json(8));
  EXPECT_EQ(recipe["adapters"][0]["r"], Json(4));
  EXPECT_EQ(recipe["learning_rate"], Json(1e-4));
  EXPECT_EQ(recipe["router"]["gate"], Json("switch"));
  EXPECT_EQ(recipe["output_dir"], Json("a=b"));
  EXPECT_EQ(recipe["validation_file"], Json(nullptr));
}

TEST(Overrides, What_leads_nowhere_is_refused) {
  Json recipe = parsed("adapters: [{r: 4}]\nseed: 1");
  for (const char* text : {"no_equals_sign", "=3", "a..b=1", "adapters.1.r=8", "adapters.x=8", "seed.x=1", "seed=[1"}) {
    EXPECT_THROW(apply_overrides(recipe, {text}), Error) << text;
  }
}

}  // namespace
}  // namespace morex::cli
