// Multiple-choice tasks under named protocols.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/warnings.h"
#include "models/causal_lm.h"
#include "text/tokenizer.h"

namespace morex::eval {

struct TaskOptions {
  std::vector<std::string> tasks;  // boolq, arc_easy, openbookqa, commonsense_qa
  std::string protocol = "lm-eval";
  std::filesystem::path data_dir;  // holds {task}.jsonl in the original column layouts ({task}.pool.jsonl: few-shot)
  int64_t num_fewshot = 0;
  uint64_t fewshot_seed = 1234;
  std::string fewshot_sampler = "default";  // default: the harness's draws; first_n: rows 0 … n-1 of the pool
  int64_t limit = -1;                       // first n items only
  int64_t tokens_per_batch = 2048;
  // For adapters that go by the task, the one that all items stand for; "": the one in their column task_column
  // (exact-match; "": not read), else the task of the evaluation itself.
  std::string task, task_column;
  std::filesystem::path samples_file;  // JSONL, one line an item; empty: not written
};

// Names this build knows under `protocol` (lm-eval, exact-match); empty where the tasks are the files of the data
// folder. Throws Error(kConfig) for an unknown protocol.
std::vector<std::string> known_tasks(const std::string& protocol);

// The file that holds a task's items. Throws Error(kData) when it is not there.
std::filesystem::path task_data_file(const TaskOptions& options, const std::string& task);

// {protocol, version, tasks: {name: {n, acc, acc_stderr, acc_norm, acc_norm_stderr, …}}, samples}. Throws Error(kData)
// for missing files or columns, Error(kConfig) for an unknown task (nearest name given).
Json run_tasks(const models::CausalLm& model, const text::Tokenizer& tokenizer, const TaskOptions& options,
               Warnings& warnings, const std::function<void(const std::string&, int64_t, int64_t)>& progress = {});

}  // namespace morex::eval
