#include "train/recipe.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <set>

#include "adapters/method_config.h"
#include "train/recipe_table.h"

namespace morex::train {
namespace {

Json smallest() {
  return {{"model_name_or_path", "base"}, {"train_file", "train.jsonl"}, {"output_dir", "out"}, {"method", "lora"}};
}

Json with(Json recipe, const Json& more) {
  recipe.update(more);
  return recipe;
}

// The message of the Error(kConfig) that parsing must throw.
std::string problems_of(const Json& recipe) {
  try {
    parse_recipe(recipe);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kConfig);
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    return error.what();
  }
  ADD_FAILURE() << "accepted: " << recipe.dump();
  return "";
}

void expect_mentions(const std::string& message, const std::vector<std::string>& parts) {
  for (const std::string& part : parts) EXPECT_NE(message.find(part), std::string::npos) << part << " in: " << message;
}

TEST(Recipe, Defaults_are_those_of_the_struct) {
  const Recipe recipe = parse_recipe(smallest());
  EXPECT_EQ(recipe.learning_rate, 2e-4);
  EXPECT_EQ(recipe.lr_scheduler_type, "linear");
  EXPECT_EQ(recipe.data.max_seq_length, 1024);
  EXPECT_EQ(recipe.method, Json({{"method", "lora"}}));
}

TEST(Recipe, Values_are_read_generously_but_without_loss) {
  const Recipe recipe = parse_recipe(with(smallest(), {{"learning_rate", "1e-4"},
                                                       {"max_steps", 30.0},
                                                       {"num_train_epochs", 2},
                                                       {"eval_tasks", "arc_easy"},
                                                       {"eval_data_dir", "d"},
                                                       {"resume_from_checkpoint", true},
                                                       {"report_to", "none"},
                                                       {"seed", 18446744073709551615ull},
                                                       {"validation_file", nullptr}}));
  EXPECT_EQ(recipe.learning_rate, 1e-4);
  EXPECT_EQ(recipe.max_steps, 30);
  EXPECT_EQ(recipe.num_train_epochs, 2.0);
  EXPECT_EQ(recipe.eval_tasks, std::vector<std::string>{"arc_easy"});
  EXPECT_EQ(recipe.resume_from_checkpoint, "auto");
  EXPECT_FALSE(recipe.report_to_tensorboard);
  EXPECT_EQ(recipe.seed, 18446744073709551615ull);
  EXPECT_EQ(recipe.validation_file, "");
}

TEST(Recipe, All_problems_stand_in_one_message) {
  const std::string message = problems_of({{"model_name_or_path", "base"},
                                           {"learning_rte", 1e-4},
                                           {"max_steps", 2.5},
                                           {"lr_scheduler_type", "cosin"},
                                           {"weight_decay", -1},
                                           {"target_module", "all-linear"},
                                           {"method", "lora"}});
  expect_mentions(message, {"unknown key 'learning_rte'", "Did you mean 'learning_rate'?", "max_steps must be", "2.5",
                            "Did you mean 'cosine'?", "weight_decay must be at least 0", "'target_modules'",
                            "train_file is required", "output_dir is required"});
}

TEST(Recipe, Wrong_types_name_the_key_and_the_value) {
  expect_mentions(problems_of(with(smallest(), {{"train_on_eos", "yes"}})), {"train_on_eos", "true or false", "yes"});
  expect_mentions(problems_of(with(smallest(), {{"eval_tasks", {1, 2}}})), {"eval_tasks", "list of texts"});
  expect_mentions(problems_of(with(smallest(), {{"train_file", 3}})), {"train_file must be text, got 3"});
  expect_mentions(problems_of(with(smallest(), {{"seed", -3}})), {"seed must be whole number"});
  expect_mentions(problems_of(Json::array()), {"mapping"});
}

TEST(Recipe, Contradicting_options_are_refused) {
  expect_mentions(problems_of(with(smallest(), {{"warmup_ratio", 0.1}, {"warmup_steps", 5}})), {"give one of the two"});
  expect_mentions(problems_of(with(smallest(), {{"lr_scheduler_type", "constant"}, {"warmup_steps", 5}})),
                  {"constant_with_warmup"});
  expect_mentions(problems_of(with(smallest(), {{"shuffle", false}, {"group_by_length", true}})), {"needs shuffle"});
  expect_mentions(problems_of(with(smallest(), {{"eval_steps", 5}})), {"validation_file"});
  expect_mentions(problems_of(with(smallest(), {{"eval_tasks", "arc_easy"}})), {"eval_data_dir"});
  expect_mentions(problems_of(with(smallest(), {{"load_best_model_at_end", true}})), {"validation_file"});
  expect_mentions(problems_of(with(smallest(), {{"gradient_checkpointing", true}, {"memory_budget_gib", 4}})),
                  {"memory_budget_gib", "give one of the two"});
  expect_mentions(problems_of(with(smallest(), {{"memory_budget_gib", -1}})), {"memory_budget_gib"});
  expect_mentions(problems_of(with(smallest(), {{"method", "full"}, {"r", 8}})), {"method full", "r has no meaning"});
  expect_mentions(problems_of(with(smallest(), {{"method", "full"}, {"load_in_8bit", true}})),
                  {"load_in_8bit freezes"});
  expect_mentions(problems_of(with(smallest(), {{"dtype", "float64"}, {"load_in_8bit", true}})), {"load_in_8bit goes"});
  expect_mentions(problems_of(with(smallest(), {{"method", "smoer"}, {"max_steps", "x"}})), {"smoer", "max_steps"});
  Json no_method = smallest();
  no_method.erase("method");
  expect_mentions(problems_of(no_method), {"method is missing"});
}

TEST(Recipe, File_order_turns_grouping_off) {
  EXPECT_FALSE(parse_recipe(with(smallest(), {{"shuffle", false}})).group_by_length);
}

TEST(Recipe, Method_part_is_passed_on_as_it_stands) {
  const Json experts = {{"kind", "tree"}, {"ranks", {8, 16}}};
  const Recipe recipe = parse_recipe(with(smallest(), {{"method", "smore"}, {"experts", experts}}));
  EXPECT_EQ(recipe.method, Json({{"method", "smore"}, {"experts", experts}}));
}

TEST(Recipe, Written_recipe_reads_back_equal) {
  const Recipe recipe = parse_recipe(with(
      smallest(), {{"learning_rate", 3e-5}, {"warmup_steps", 3}, {"eval_tasks", {"a", "b"}}, {"eval_data_dir", "d"}}));
  const Json written = recipe_to_json(recipe);
  EXPECT_EQ(recipe_to_json(parse_recipe(written)), written);
}

TEST(Recipe, Reference_has_one_row_per_option_with_a_meaning) {
  std::set<std::string> names;
  for (const OptionRow& row : recipe_options()) {
    EXPECT_TRUE(names.insert(row.name).second) << row.name;
    EXPECT_FALSE(row.meaning.empty() || row.type.empty() || row.default_value.empty()) << row.name;
  }
  EXPECT_EQ(names.size(), recipe_table().size() + method_keys().size());
}

TEST(Recipe, Method_keys_are_those_the_adapters_know) {
  for (const std::string& key : method_keys()) {
    if (key == "adapters") continue;  // the list of what the others describe
    try {
      adapters::read_method({{key, nullptr}});
    } catch (const Error& error) {
      EXPECT_EQ(std::string(error.what()).find("unknown"), std::string::npos) << key << ": " << error.what();
    }
  }
}

TEST(Recipe, Paths_may_start_at_home) {
  setenv("HOME", "/somewhere", 1);
  const Recipe recipe = parse_recipe(with(smallest(), {{"train_file", "~/data/x.jsonl"}}));
  EXPECT_EQ(recipe.train_file, "/somewhere/data/x.jsonl");
}

// Every default passes its own check, so that the reference never shows a value that would be refused.
TEST(Recipe, Defaults_pass_their_checks) {
  const Recipe defaults;
  for (const RecipeOption& row : recipe_table()) {
    Recipe copy;
    if (row.required) continue;
    EXPECT_EQ(row.read(row.write(defaults), copy), "") << row.name;
  }
}

TEST(Recipe, Resume_compares_only_what_decides_the_result) {
  const Json before = recipe_to_json(parse_recipe(smallest()));
  Json now = before;
  now["output_dir"] = "elsewhere";
  now["logging_steps"] = 1;
  now["save_steps"] = 5;
  EXPECT_TRUE(result_differences(before, now).empty());
  now["learning_rate"] = 1.0;
  now["r"] = 8;
  const auto differences = result_differences(before, now);
  ASSERT_EQ(differences.size(), 2u);
  expect_mentions(differences[0] + differences[1], {"learning_rate: was 0.0002, is 1.0", "r: was null, is 8"});
}

}  // namespace
}  // namespace morex::train
