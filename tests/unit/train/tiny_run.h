// Small real runs: the repository's tiny Llama with its tokenizer, a data set written on the spot.
#pragma once
#include <atomic>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/json.h"
#include "train/trainer.h"

namespace morex::test {

// A Hugging Face folder with config.json, weights and tokenizer: 288 ids, untied head.
std::filesystem::path tiny_base();

class TinyRun {
 public:
  // A scratch folder with train.jsonl (`rows` prompt/completion pairs of differing length) and valid.jsonl.
  explicit TinyRun(const std::string& name, int64_t rows = 11);
  // Gives the rows of both files the columns that `columns` makes of a row's number.
  void add_columns(const std::function<Json(int64_t)>& columns) const;

  const std::filesystem::path& folder() const { return folder_; }
  // LoRA of rank 8 on all linears, batch 2, 2 micro-batches, 6 steps, float32, one line of metrics a step; `more` goes
  // over it.
  Json recipe(const std::string& output, const Json& more = Json::object()) const;
  std::filesystem::path output(const std::string& name) const { return folder_ / name; }

 private:
  std::filesystem::path folder_;
};

struct RunOutcome {
  train::TrainResult result;
  std::map<std::string, int64_t> warnings;
};
// Runs to the end, quietly. Errors pass through.
RunOutcome run(const Json& recipe, bool interrupted = false, bool strict = false);

// What a run of this recipe is refused with, which must be of this kind; "none" when it is not.
std::string refusal(const Json& recipe, ErrorKind kind);

// Runs with the interrupt flag set, so that one step is done each time, until the run ends by itself.
void run_step_by_step(Json recipe);

std::string adapter_bytes(const std::filesystem::path& output);  // adapter_model.safetensors
std::vector<Json> lines(const std::filesystem::path& jsonl);
// The lines that hold `key`.
std::vector<Json> lines_with(const std::filesystem::path& jsonl, const std::string& key);

}  // namespace morex::test
