#include "unit/train/tiny_run.h"

#include <gtest/gtest.h>

#include "base/files.h"
#include "base/random.h"
#include "io/jsonl.h"
#include "support/paths.h"

namespace morex::test {
namespace fs = std::filesystem;

namespace {

// Rows whose completion follows from the prompt, of lengths that differ.
void write_rows(const fs::path& path, int64_t rows, uint64_t seed) {
  const std::vector<std::string> words = {"the", "hand", "and", "other", "in", "it", "is", "hello", "world", "user"};
  std::string text;
  for (int64_t i = 0; i < rows; ++i) {
    const RandomKey key{seed, stream_id("tiny rows"), static_cast<uint64_t>(i)};
    std::string prompt;
    const auto count = 1 + static_cast<size_t>(uniform_at(key, 0) * 6);
    for (size_t w = 0; w < count; ++w)
      prompt += words[static_cast<size_t>(uniform_at(key, w + 1) * static_cast<double>(words.size()))] + " ";
    text += Json{{"prompt", prompt + "="}, {"completion", " " + prompt}}.dump() + "\n";
  }
  write_text_file(path, text);
}

}  // namespace

fs::path tiny_base() { return source_dir() / "tests" / "golden" / "data" / "gguf" / "llama_untied_hf"; }

TinyRun::TinyRun(const std::string& name, int64_t rows) : folder_(scratch_dir("train_" + name)) {
  write_rows(folder_ / "train.jsonl", rows, 1);
  write_rows(folder_ / "valid.jsonl", 4, 2);
}

void TinyRun::add_columns(const std::function<Json(int64_t)>& columns) const {
  for (const char* file : {"train.jsonl", "valid.jsonl"}) {
    std::string text;
    int64_t number = 0;
    for (Json row : lines(folder_ / file)) {
      row.update(columns(number++));
      text += row.dump() + "\n";
    }
    write_text_file(folder_ / file, text);
  }
}

Json TinyRun::recipe(const std::string& output, const Json& more) const {
  Json recipe = {{"model_name_or_path", tiny_base().string()},
                 {"train_file", (folder_ / "train.jsonl").string()},
                 {"output_dir", (folder_ / output).string()},
                 {"method", "lora"},
                 {"target_modules", "all-linear"},
                 {"per_device_train_batch_size", 2},
                 {"gradient_accumulation_steps", 2},
                 {"learning_rate", 1e-2},
                 {"max_steps", 6},
                 {"logging_steps", 1},
                 {"dtype", "float32"},
                 {"device", "cpu"},
                 {"threads", 1}};
  recipe.update(more);
  return recipe;
}

RunOutcome run(const Json& recipe, bool interrupted, bool strict) {
  Warnings warnings(strict, /*print=*/false);
  const std::atomic<bool> interrupt{interrupted};
  RunOutcome outcome;
  outcome.result = train::run_training(train::parse_recipe(recipe), warnings, interrupt, /*quiet=*/true);
  outcome.warnings = warnings.counts();
  return outcome;
}

std::string refusal(const Json& recipe, ErrorKind kind) {
  try {
    run(recipe);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    return error.what();
  }
  return "none";
}

void run_step_by_step(Json recipe) {
  recipe["resume_from_checkpoint"] = "auto";
  for (int64_t part = 0; part < 100; ++part) {
    try {
      run(recipe, /*interrupted=*/true);
      return;
    } catch (const Error& error) {
      ASSERT_EQ(error.kind(), ErrorKind::kInterrupted) << error.what();
    }
  }
  FAIL() << "never ended";
}

std::string adapter_bytes(const fs::path& output) { return read_text_file(output / "adapter_model.safetensors"); }

std::vector<Json> lines(const fs::path& jsonl) {
  std::vector<Json> all;
  io::JsonlReader reader(jsonl);
  for (Json line; reader.next(line);) all.push_back(line);
  return all;
}

std::vector<Json> lines_with(const fs::path& jsonl, const std::string& key) {
  std::vector<Json> found;
  for (const Json& line : lines(jsonl))
    if (line.contains(key)) found.push_back(line);
  return found;
}

}  // namespace morex::test
