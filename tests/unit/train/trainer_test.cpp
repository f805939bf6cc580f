// Whole runs on a tiny model: what they write, what they refuse, and that nothing is lost.
#include "train/trainer.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>

#include "base/files.h"
#include "io/safetensors.h"
#include "models/causal_lm.h"
#include "support/golden_tensors.h"
#include "support/paths.h"
#include "unit/train/tiny_run.h"

namespace morex::train {
namespace {

namespace fs = std::filesystem;
using test::adapter_bytes;
using test::lines;
using test::lines_with;
using test::run;
using test::run_step_by_step;
using test::TinyRun;

// Runs a recipe that must fail with this kind; returns the message.
std::string failure(const Json& recipe, ErrorKind kind, bool interrupted = false, bool strict = false) {
  try {
    run(recipe, interrupted, strict);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "the run did not fail";
  return "";
}

void expect_mentions(const std::string& message, const std::vector<std::string>& parts) {
  for (const std::string& part : parts) EXPECT_NE(message.find(part), std::string::npos) << part << " in: " << message;
}

TEST(Trainer, Loss_falls_and_everything_promised_is_written) {
  const TinyRun tiny("writes", 8);
  const auto outcome = run(tiny.recipe("out", {{"max_steps", 20},
                                               {"validation_file", (tiny.folder() / "valid.jsonl").string()},
                                               {"eval_steps", 10},
                                               {"sample_prompts", {"the hand ="}},
                                               {"sample_max_new_tokens", 4}}));
  const fs::path out = tiny.output("out");
  for (const char* name : {"adapter_config.json", "adapter_model.safetensors", "metrics.jsonl", "samples.jsonl",
                           "run.json", "checkpoint-20/trainer_state.json", "checkpoint-20/optimizer.safetensors",
                           "checkpoint-20/adapter_model.safetensors"})
    EXPECT_TRUE(fs::exists(out / name)) << name;

  const std::vector<Json> steps = lines_with(out / "metrics.jsonl", "loss");
  ASSERT_EQ(steps.size(), 20u);
  EXPECT_LT(steps.back()["loss"].get<double>(), 0.8 * steps.front()["loss"].get<double>());
  for (const char* key :
       {"step", "epoch", "loss", "learning_rate", "grad_norm", "tokens", "tokens_per_second", "peak_memory_bytes"})
    EXPECT_TRUE(steps.front().contains(key)) << key;
  EXPECT_EQ(steps.front()["learning_rate"], 1e-2);
  EXPECT_DOUBLE_EQ(steps[10]["learning_rate"].get<double>(), 1e-2 * 10 / 20);
  EXPECT_EQ(lines_with(out / "metrics.jsonl", "eval_loss").size(), 2u);
  EXPECT_EQ(lines(out / "samples.jsonl").size(), 2u);

  const Json run_json = read_json_file(out / "run.json");
  for (const char* key : {"base", "tokenizer", "data", "validation", "data_order"})
    EXPECT_EQ(run_json["digests"][key].get<std::string>().size(), 64u) << key;
  EXPECT_EQ(run_json["result"]["steps"], 20);
  EXPECT_EQ(run_json["trainable_parameters"], outcome.result.trainable_parameters);
  for (const char* key : {"extra_forward_ms", "extra_train_ms", "training_bytes", "flops_per_token"})
    EXPECT_TRUE(run_json["result"]["cost"].contains(key)) << key;
  EXPECT_TRUE(outcome.warnings.empty()) << Json(outcome.warnings).dump();
}

TEST(Trainer, Interrupted_after_every_step_equals_uninterrupted) {
  const TinyRun tiny("interrupted");
  const Json more = {{"lora_dropout", 0.2}, {"save_total_limit", 1}};
  run(tiny.recipe("whole", more));
  run_step_by_step(tiny.recipe("parts", more));
  EXPECT_EQ(adapter_bytes(tiny.output("whole")), adapter_bytes(tiny.output("parts")));
  const auto whole = lines(tiny.output("whole") / "metrics.jsonl"),
             parts = lines(tiny.output("parts") / "metrics.jsonl");
  ASSERT_EQ(whole.size(), parts.size());
  for (size_t i = 0; i < whole.size(); ++i)
    for (const char* key : {"step", "loss", "grad_norm", "learning_rate", "tokens"})
      EXPECT_EQ(whole[i][key], parts[i][key]) << key << " in line " << i;
  EXPECT_FALSE(fs::exists(tiny.output("parts") / "checkpoint-5")) << "rotation keeps one";
}

TEST(Trainer, Interrupt_names_the_checkpoint_and_exits_130) {
  const TinyRun tiny("names");
  expect_mentions(failure(tiny.recipe("out"), ErrorKind::kInterrupted, true), {"step 1 of 6", "checkpoint-1"});
}

TEST(Trainer, Evaluations_in_between_do_not_change_the_adapter) {
  const TinyRun tiny("evaluations");
  run(tiny.recipe("plain", {{"lora_dropout", 0.1}}));
  run(tiny.recipe("evaluated", {{"lora_dropout", 0.1},
                                {"validation_file", (tiny.folder() / "valid.jsonl").string()},
                                {"eval_steps", 1},
                                {"sample_prompts", {"user ="}},
                                {"sample_max_new_tokens", 3}}));
  EXPECT_EQ(adapter_bytes(tiny.output("plain")), adapter_bytes(tiny.output("evaluated")));
}

TEST(Trainer, Interrupt_before_an_evaluation_makes_it_up) {
  const TinyRun tiny("pending");
  const Json more = {
      {"max_steps", 3}, {"validation_file", (tiny.folder() / "valid.jsonl").string()}, {"eval_steps", 1}};
  run(tiny.recipe("whole", more));
  Json recipe = tiny.recipe("parts", more);
  failure(recipe, ErrorKind::kInterrupted, true);
  recipe["resume_from_checkpoint"] = true;
  run(recipe);
  const auto whole = lines_with(tiny.output("whole") / "metrics.jsonl", "eval_loss");
  const auto parts = lines_with(tiny.output("parts") / "metrics.jsonl", "eval_loss");
  ASSERT_EQ(whole.size(), 3u);
  EXPECT_EQ(whole, parts);
  EXPECT_EQ(adapter_bytes(tiny.output("whole")), adapter_bytes(tiny.output("parts")));
}

TEST(Trainer, Another_recipe_or_data_is_not_resumed) {
  const TinyRun tiny("refuses");
  failure(tiny.recipe("out"), ErrorKind::kInterrupted, true);
  const Json resume = {{"resume_from_checkpoint", "auto"}};
  Json changed = tiny.recipe("out", resume);
  changed["learning_rate"] = 5e-3;
  changed["r"] = 4;
  expect_mentions(failure(changed, ErrorKind::kConfig),
                  {"another run", "learning_rate: was 0.01, is 0.005", "r: was null, is 4"});

  Json harmless = tiny.recipe("out", resume);
  harmless["logging_steps"] = 3;
  harmless["save_steps"] = 2;
  EXPECT_EQ(run(harmless).result.steps, 6);

  write_text_file(tiny.folder() / "train.jsonl",
                  read_text_file(tiny.folder() / "train.jsonl") + R"({"prompt": "a", "completion": "b"})" + "\n");
  expect_mentions(failure(tiny.recipe("out", resume), ErrorKind::kConfig), {"train_file has another content"});
}

TEST(Trainer, Resume_from_a_missing_folder_is_an_error_and_auto_starts_afresh) {
  const TinyRun tiny("missing");
  expect_mentions(failure(tiny.recipe("out", {{"resume_from_checkpoint", "nowhere"}}), ErrorKind::kConfig),
                  {"nowhere"});
  EXPECT_EQ(run(tiny.recipe("out", {{"resume_from_checkpoint", "auto"}})).result.steps, 6);
}

TEST(Trainer, Fresh_start_moves_an_earlier_run_aside) {
  const TinyRun tiny("aside");
  run(tiny.recipe("out"));
  const std::string before = adapter_bytes(tiny.output("out"));
  const auto outcome = run(tiny.recipe("out", {{"seed", 7}}));
  EXPECT_EQ(outcome.warnings.at("earlier_run"), 1);
  EXPECT_EQ(adapter_bytes(tiny.output("out") / "earlier-1"), before);
  EXPECT_NE(adapter_bytes(tiny.output("out")), before);
  EXPECT_EQ(lines_with(tiny.output("out") / "metrics.jsonl", "loss").size(), 6u);
}

TEST(Trainer, Best_checkpoint_is_kept_and_loaded) {
  const TinyRun tiny("best");
  // Validated on what the training rows know nothing of: the better they are learned, the worse it gets.
  write_text_file(tiny.folder() / "valid.jsonl", R"({"prompt": "the", "completion": " 0Q7#Z%9&X"})"
                                                 "\n");
  const Json more = {{"max_steps", 8},
                     {"learning_rate", 3e-2},
                     {"lr_scheduler_type", "constant"},
                     {"validation_file", (tiny.folder() / "valid.jsonl").string()},
                     {"eval_steps", 1},
                     {"save_total_limit", 1},
                     {"load_best_model_at_end", true}};
  run(tiny.recipe("out", more));
  const auto evaluations = lines_with(tiny.output("out") / "metrics.jsonl", "eval_loss");
  ASSERT_EQ(evaluations.size(), 8u);
  size_t best = 0;
  for (size_t i = 1; i < evaluations.size(); ++i)
    if (evaluations[i]["eval_loss"] < evaluations[best]["eval_loss"]) best = i;
  ASSERT_NE(best, 7u) << "the test needs a run whose best is not its last";
  const fs::path kept = tiny.output("out") / fmt::format("checkpoint-{}", best + 1);
  EXPECT_EQ(adapter_bytes(kept), adapter_bytes(tiny.output("out")));
  EXPECT_TRUE(fs::exists(tiny.output("out") / "checkpoint-8"));
}

TEST(Trainer, Numbers_that_overflow_stop_the_run_and_lose_nothing) {
  const TinyRun tiny("overflow");
  const std::string message = failure(
      tiny.recipe("out", {{"learning_rate", 1e30}, {"save_steps", 1}, {"max_grad_norm", 0}}), ErrorKind::kNumeric);
  expect_mentions(message, {"[step ", "first bad: "});
  EXPECT_TRUE(fs::exists(tiny.output("out") / "checkpoint-1" / "trainer_state.json"));
  EXPECT_FALSE(lines(tiny.output("out") / "metrics.jsonl").empty());
}

TEST(Trainer, File_size_limit_in_a_save_keeps_the_older_checkpoint) {
  const TinyRun tiny("limit");
  run(tiny.recipe("whole"));
  Json recipe = tiny.recipe("out", {{"save_steps", 3}});
  failure(recipe, ErrorKind::kInterrupted, true);
  recipe["resume_from_checkpoint"] = "auto";

  std::signal(SIGXFSZ, SIG_IGN);  // as the program does at its start
  rlimit unlimited{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &unlimited), 0);
  rlimit small = unlimited;
  small.rlim_cur = fs::file_size(tiny.output("out") / "checkpoint-1" / "optimizer.safetensors") - 1000;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const std::string message = failure(recipe, ErrorKind::kRun);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &unlimited), 0);
  expect_mentions(message, {"optimizer.safetensors", "cannot be written"});
  for (const auto& entry : fs::directory_iterator(tiny.output("out")))
    EXPECT_FALSE(entry.path().filename().string().starts_with(".")) << entry.path();

  run(recipe);
  EXPECT_EQ(adapter_bytes(tiny.output("whole")), adapter_bytes(tiny.output("out")));
}

TEST(Trainer, Full_training_saves_a_model_folder_and_resumes_exactly) {
  const TinyRun tiny("full");
  const auto recipe = [&](const std::string& output) {
    Json full = tiny.recipe(output, {{"method", "full"}, {"weight_decay", 0.1}, {"learning_rate", 1e-3}});
    full.erase("target_modules");
    return full;
  };
  run(recipe("whole"));
  run_step_by_step(recipe("parts"));
  const fs::path out = tiny.output("whole");
  EXPECT_EQ(read_text_file(out / "model.safetensors"), read_text_file(tiny.output("parts") / "model.safetensors"));

  Warnings warnings(false, false);
  const auto model = models::load_model(out, {}, warnings), base = models::load_model(test::tiny_base(), {}, warnings);
  for (size_t i = 0; i < model->weights().size(); ++i)
    EXPECT_FALSE(at::equal(*model->weights()[i].slot, *base->weights()[i].slot)) << model->weights()[i].name;
  Json on_it = tiny.recipe("second", {{"model_name_or_path", out.string()}, {"max_steps", 1}});
  EXPECT_LT(run(on_it).result.train_loss, lines(out / "metrics.jsonl").front()["loss"].get<double>())
      << "the saved folder, tokenizer included, is a base that knows the data";
}

TEST(Trainer, Full_training_with_a_bfloat16_base_keeps_float32_masters) {
  const TinyRun tiny("full_bf16");
  Json recipe =
      tiny.recipe("out", {{"method", "full"}, {"dtype", "bfloat16"}, {"learning_rate", 1e-3}, {"max_steps", 12}});
  recipe.erase("target_modules");
  run(recipe);
  const auto steps = lines(tiny.output("out") / "metrics.jsonl");
  EXPECT_LT(steps.back()["loss"].get<double>(), steps.front()["loss"].get<double>());
  EXPECT_EQ(io::SafetensorsFile::open(tiny.output("out") / "model.safetensors").tensors().front().dtype,
            io::DType::kF32);
}

TEST(Trainer, Routed_method_logs_its_losses_and_learns) {
  const TinyRun tiny("routed", 8);
  const Json more = {{"method", "smore"},
                     {"experts", {{"ranks", {4, 4}}, {"pool", {2, 2}}, {"active", {1, 1}}}},
                     {"losses", {{{"kind", "balance"}, {"coef", 0.01}}}},
                     {"max_steps", 20}};
  const auto outcome = run(tiny.recipe("out", more));
  const auto steps = lines(tiny.output("out") / "metrics.jsonl");
  EXPECT_GT(steps.front().at("aux_loss").get<double>(), 0);
  EXPECT_LT(steps.back()["loss"].get<double>(), steps.front()["loss"].get<double>());
  EXPECT_TRUE(outcome.warnings.empty()) << Json(outcome.warnings).dump();
}

TEST(Trainer, File_order_is_kept_without_shuffle) {
  const TinyRun tiny("order", 8);
  const Json more = {{"shuffle", false}, {"max_steps", 2}, {"lr_scheduler_type", "constant"}, {"learning_rate", 0}};
  run(tiny.recipe("out", more));
  // At rate 0 a step's loss is that of its rows; the first four rows of the file alone give the first step's.
  run(tiny.recipe("first", {{"shuffle", false}, {"max_train_samples", 4}, {"max_steps", 1}, {"learning_rate", 0}}));
  EXPECT_EQ(lines(tiny.output("out") / "metrics.jsonl")[0]["loss"],
            lines(tiny.output("first") / "metrics.jsonl")[0]["loss"]);
  EXPECT_NE(lines(tiny.output("out") / "metrics.jsonl")[0]["loss"],
            lines(tiny.output("out") / "metrics.jsonl")[1]["loss"]);
}

TEST(Trainer, Sums_between_lines_survive_a_resume) {
  const TinyRun tiny("sums");
  run(tiny.recipe("whole", {{"logging_steps", 4}}));
  run_step_by_step(tiny.recipe("parts", {{"logging_steps", 4}}));
  const auto whole = lines(tiny.output("whole") / "metrics.jsonl"),
             parts = lines(tiny.output("parts") / "metrics.jsonl");
  ASSERT_EQ(whole.size(), 2u);  // step 4, and the last
  ASSERT_EQ(parts.size(), 2u);
  for (size_t i = 0; i < 2; ++i) EXPECT_EQ(whole[i]["loss"], parts[i]["loss"]);
}

TEST(Trainer, Truncated_rows_are_counted_and_an_error_under_strict) {
  const TinyRun tiny("truncated");
  const Json recipe = tiny.recipe("out", {{"max_seq_length", 12}, {"max_steps", 1}});
  EXPECT_GT(run(recipe).warnings.at("data.truncated"), 0);
  failure(tiny.recipe("strict", {{"max_seq_length", 12}, {"max_steps", 1}}), ErrorKind::kConfig, false, true);
}

TEST(Trainer, Targets_that_match_nothing_are_an_error) {
  const TinyRun tiny("targets");
  expect_mentions(failure(tiny.recipe("out", {{"target_modules", {"q_prj"}}}), ErrorKind::kConfig), {"q_prj"});
}

}  // namespace
}  // namespace morex::train
