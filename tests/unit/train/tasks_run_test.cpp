// Runs whose methods must know more of a row than its text: MOELoRA's task, LoRAMoE's sample type.
#include <gtest/gtest.h>

#include <fstream>

#include "base/files.h"
#include "io/safetensors.h"
#include "unit/train/tiny_run.h"

namespace morex::train {
namespace {

namespace fs = std::filesystem;
using test::adapter_bytes;
using test::refusal;
using test::run;
using test::TinyRun;

Json moelora(const Json& more = Json::object()) {
  Json recipe = {{"method", "moelora"}, {"r", 8}, {"experts", {{"num_experts", 4}}}, {"router", {{"tasks", 3}}}};
  recipe.update(more);
  return recipe;
}

Json skill(int64_t row) { return {{"task", row % 3 == 0 ? "sort" : "add"}}; }

Json router_of(const fs::path& output) {
  return read_json_file(output / "adapter_config.json").at("method").at("router");
}

TEST(TasksRun, Trains_from_a_file_evaluates_and_resumes_bit_for_bit) {
  const TinyRun tiny("tasks", 11);
  tiny.add_columns(skill);
  const Json more = {{"validation_file", (tiny.folder() / "valid.jsonl").string()},
                     {"sample_prompts", {"the hand ="}},
                     {"eval_task", "sort"},
                     {"save_steps", 3},
                     {"eval_steps", 3}};
  run(tiny.recipe("whole", moelora(more)));
  EXPECT_EQ(router_of(tiny.output("whole")).at("task_names"), Json({"add", "sort"}));
  EXPECT_EQ(router_of(tiny.output("whole")).at("tasks"), 3);
  EXPECT_FALSE(test::lines_with(tiny.output("whole") / "metrics.jsonl", "eval_loss").empty());

  Json again = moelora(more);
  again["resume_from_checkpoint"] = (tiny.output("whole") / "checkpoint-3").string();
  run(tiny.recipe("again", again));
  EXPECT_EQ(adapter_bytes(tiny.output("again")), adapter_bytes(tiny.output("whole")));
}

TEST(TasksRun, The_task_decides_the_result) {
  const TinyRun one("tasks_one", 8), other("tasks_other", 8);
  one.add_columns(skill);
  other.add_columns([](int64_t row) { return Json{{"task", row % 3 == 1 ? "sort" : "add"}}; });
  run(one.recipe("out", moelora()));
  run(other.recipe("out", moelora()));
  EXPECT_NE(adapter_bytes(one.output("out")), adapter_bytes(other.output("out")));
}

TEST(TasksRun, Another_column_and_numbers_as_ids) {
  const TinyRun tiny("tasks_numbers", 8), named("tasks_named", 8);
  tiny.add_columns([](int64_t row) { return Json{{"skill", row % 3 == 0 ? 1 : 0}, {"task", Json::object()}}; });
  named.add_columns(skill);
  run(tiny.recipe("out", moelora({{"task_column", "skill"}})));
  EXPECT_FALSE(router_of(tiny.output("out")).contains("task_names"));
  run(named.recipe("out", moelora()));
  const auto tensors = [](const fs::path& output) {
    const io::SafetensorsFile file = io::SafetensorsFile::open(output / "adapter_model.safetensors");
    std::string bytes;
    for (const io::StoredTensor& stored : file.tensors())
      bytes.append(reinterpret_cast<const char*>(stored.bytes.data()), stored.bytes.size());
    return bytes;
  };
  EXPECT_EQ(tensors(tiny.output("out")), tensors(named.output("out"))) << "add is 0, sort is 1";
}

TEST(TasksRun, Names_may_be_given_and_then_others_are_refused) {
  const TinyRun tiny("tasks_given", 8);
  tiny.add_columns(skill);
  Json recipe = moelora({{"max_steps", 1}});
  recipe["router"]["task_names"] = {"sort", "mul", "add"};
  run(tiny.recipe("out", recipe));
  EXPECT_EQ(router_of(tiny.output("out")).at("task_names"), Json({"sort", "mul", "add"}));
  recipe["router"]["task_names"] = {"sort", "mul"};
  const std::string said = refusal(tiny.recipe("bad", recipe), ErrorKind::kData);
  EXPECT_NE(said.find("train.jsonl:2: column 'task'"), std::string::npos) << said;
}

TEST(TasksRun, Without_tasks_the_number_of_names_decides) {
  const TinyRun tiny("tasks_default", 8);
  tiny.add_columns(skill);
  const Json recipe = {{"experts", {{"kind", "low_rank_experts"}, {"num_experts", 4}}},
                       {"router", {{"kind", "task"}}},
                       {"max_steps", 1}};
  Json whole = tiny.recipe("out", recipe);
  whole.erase("method");
  run(whole);
  EXPECT_EQ(router_of(tiny.output("out")).at("task_names").size(), 2U);
}

TEST(TasksRun, Missing_columns_and_unknown_tasks_are_refused_with_row_and_column) {
  const TinyRun tiny("tasks_bad", 8);
  const std::string missing = refusal(tiny.recipe("a", moelora()), ErrorKind::kData);
  EXPECT_NE(missing.find("train.jsonl:1] column 'task' is missing"), std::string::npos) << missing;

  tiny.add_columns(skill);
  const fs::path valid = tiny.folder() / "other.jsonl";
  write_text_file(valid, "{\"prompt\": \"a\", \"completion\": \"b\", \"task\": \"mul\"}\n");
  const std::string unknown =
      refusal(tiny.recipe("b", moelora({{"validation_file", valid.string()}})), ErrorKind::kData);
  EXPECT_NE(unknown.find("other.jsonl:1: column 'task'"), std::string::npos) << unknown;
  EXPECT_NE(unknown.find("add, sort"), std::string::npos) << unknown;

  const std::string sample = refusal(tiny.recipe("c", moelora({{"sample_prompts", {"a"}}})), ErrorKind::kConfig);
  EXPECT_NE(sample.find("eval_task"), std::string::npos) << sample;

  const std::string useless = refusal(tiny.recipe("e", {{"eval_task", "add"}}), ErrorKind::kConfig);
  EXPECT_NE(useless.find("eval_task has no meaning"), std::string::npos) << useless;

  Json few = moelora();
  few["router"]["tasks"] = 1;
  tiny.add_columns([](int64_t row) { return Json{{"task", std::string(1, static_cast<char>('a' + row % 3))}}; });
  EXPECT_NE(refusal(tiny.recipe("d", few), ErrorKind::kConfig).find("at least 2 for 3"), std::string::npos);
}

TEST(TasksRun, A_column_nobody_reads_is_a_warning) {
  const TinyRun tiny("tasks_unread", 4);
  const Json recipe = tiny.recipe("out", {{"task_column", "skill"}, {"sample_type_column", "kind"}, {"max_steps", 1}});
  const auto warnings = run(recipe).warnings;
  EXPECT_EQ(warnings.count("task_column"), 1U);
  EXPECT_EQ(warnings.count("sample_type_column"), 1U);
}

Json loramoe(const Json& more = Json::object()) {
  Json recipe = {
      {"method", "loramoe"}, {"experts", {{"num_experts", 4}}}, {"losses", {{{"kind", "localized"}, {"coef", 1.0}}}}};
  recipe.update(more);
  return recipe;
}

TEST(SampleTypesRun, The_localized_loss_trains_from_a_file_and_resumes_bit_for_bit) {
  const TinyRun tiny("types", 11);
  tiny.add_columns([](int64_t row) { return Json{{"sample_type", row % 2}}; });
  // The validation rows need none: their loss is that of the tokens alone.
  const fs::path valid = tiny.folder() / "plain.jsonl";
  write_text_file(valid, "{\"prompt\": \"the hand =\", \"completion\": \" the hand\"}\n");
  const Json more = {{"validation_file", valid.string()}, {"save_steps", 3}, {"eval_steps", 3}};
  run(tiny.recipe("whole", loramoe(more)));
  EXPECT_FALSE(test::lines_with(tiny.output("whole") / "metrics.jsonl", "aux_loss").empty());
  Json again = loramoe(more);
  again["resume_from_checkpoint"] = (tiny.output("whole") / "checkpoint-3").string();
  run(tiny.recipe("again", again));
  EXPECT_EQ(adapter_bytes(tiny.output("again")), adapter_bytes(tiny.output("whole")));

  const TinyRun other("types_other", 11);
  other.add_columns([](int64_t row) { return Json{{"sample_type", row % 3 == 0 ? 1 : 0}}; });
  run(other.recipe("out", loramoe()));
  EXPECT_NE(adapter_bytes(other.output("out")), adapter_bytes(tiny.output("whole")));
}

TEST(SampleTypesRun, A_missing_or_wrong_type_is_refused_with_row_and_column) {
  const TinyRun tiny("types_bad", 8);
  const std::string missing = refusal(tiny.recipe("a", loramoe()), ErrorKind::kData);
  EXPECT_NE(missing.find("train.jsonl:1] column 'sample_type' is missing"), std::string::npos) << missing;
  tiny.add_columns([](int64_t row) { return Json{{"sample_type", row == 4 ? 2 : 0}}; });
  const std::string wrong = refusal(tiny.recipe("b", loramoe()), ErrorKind::kData);
  EXPECT_NE(wrong.find("train.jsonl:5] column 'sample_type' must be 0 or 1, got 2"), std::string::npos) << wrong;
}

}  // namespace
}  // namespace morex::train
