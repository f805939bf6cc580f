// Training through a base in eight bits.
#include <gtest/gtest.h>

#include "base/files.h"
#include "support/paths.h"
#include "unit/train/tiny_run.h"

namespace morex::train {
namespace {

using test::adapter_bytes;
using test::lines_with;
using test::TinyRun;

Json in_8bit(Json more = Json::object()) {
  if (!more.contains("load_in_8bit")) more["load_in_8bit"] = true;
  return more;
}

TEST(Int8Run, Loss_falls_and_the_run_says_what_it_ran_on) {
  const TinyRun tiny("int8_falls", 8);
  test::run(tiny.recipe("out", in_8bit({{"max_steps", 20}})));
  const auto steps = lines_with(tiny.output("out") / "metrics.jsonl", "loss");
  ASSERT_EQ(steps.size(), 20u);
  EXPECT_LT(steps.back()["loss"].get<double>(), 0.8 * steps.front()["loss"].get<double>());
  const Json run = read_json_file(tiny.output("out") / "run.json");
  EXPECT_TRUE(run.at("recipe").at("load_in_8bit").get<bool>());

  test::run(tiny.recipe("plain", {{"max_steps", 20}}));
  const auto plain = lines_with(tiny.output("plain") / "metrics.jsonl", "loss");
  const double loss = plain.front()["loss"].get<double>();  // of random weights, each now off by up to 0.4 %
  EXPECT_NEAR(steps.front()["loss"].get<double>(), loss, 0.01 * loss);
  EXPECT_NE(steps.front()["loss"].get<double>(), plain.front()["loss"].get<double>());
  EXPECT_EQ(read_json_file(tiny.output("plain") / "run.json").at("digests").at("base"), run.at("digests").at("base"));
}

TEST(Int8Run, Interrupted_after_every_step_equals_uninterrupted) {
  const TinyRun tiny("int8_resume");
  for (const char* dtype : {"float32", "bfloat16"}) {
    const std::string whole = std::string("whole_") + dtype, parts = std::string("parts_") + dtype;
    const Json more = in_8bit({{"dtype", dtype}, {"lora_dropout", 0.2}});
    test::run(tiny.recipe(whole, more));
    test::run_step_by_step(tiny.recipe(parts, more));
    EXPECT_EQ(adapter_bytes(tiny.output(whole)), adapter_bytes(tiny.output(parts))) << dtype;
  }
}

TEST(Int8Run, Every_kind_of_method_trains_on_it) {
  const TinyRun tiny("int8_methods", 6);
  for (const char* method : {"lora", "smore", "mixlora", "mola", "trex"}) {
    SCOPED_TRACE(method);
    Json recipe = tiny.recipe(method, in_8bit({{"method", method}, {"max_steps", 2}}));
    recipe.erase("target_modules");  // each method's own
    EXPECT_EQ(test::run(recipe).result.steps, 2);
  }
  EXPECT_EQ(test::run(tiny.recipe("dora", in_8bit({{"use_dora", true}, {"max_steps", 2}}))).result.steps, 2);
}

TEST(Int8Run, What_it_does_not_go_with_is_refused) {
  const TinyRun tiny("int8_refused", 6);
  const auto refused = [&](const Json& more) {
    return test::refusal(tiny.recipe("out", in_8bit(more)), ErrorKind::kConfig);
  };
  Json full = tiny.recipe("out", in_8bit({{"method", "full"}}));
  full.erase("target_modules");
  EXPECT_NE(test::refusal(full, ErrorKind::kConfig).find("load_in_8bit freezes"), std::string::npos);
  EXPECT_NE(refused({{"dtype", "float64"}}).find("load_in_8bit goes with"), std::string::npos);
  EXPECT_NE(refused({{"init_lora_weights", "pissa"}}).find("load_in_8bit"), std::string::npos);
  EXPECT_NE(refused({{"load_in_8bit", "maybe"}}).find("load_in_8bit"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(tiny.output("out")));
}

TEST(Int8Run, A_run_does_not_go_on_with_other_weights) {
  const TinyRun tiny("int8_other");
  test::run(tiny.recipe("out", {{"max_steps", 2}}));
  const Json resumed = tiny.recipe("out", in_8bit({{"max_steps", 2}, {"resume_from_checkpoint", "auto"}}));
  EXPECT_NE(test::refusal(resumed, ErrorKind::kConfig).find("load_in_8bit: was false, is true"), std::string::npos);
}

}  // namespace
}  // namespace morex::train
