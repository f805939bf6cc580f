// The `exact-match` protocol: a model's own greedy answers against the responses of a JSONL file.
#pragma once
#include <cstdint>
#include <functional>
#include <string>

#include "base/json.h"
#include "eval/tasks.h"

namespace morex::eval {

inline constexpr const char* kExactMatchProtocol = "exact-match";
inline constexpr const char* kExactMatchVersion = "1";

// A task is a file {task}.jsonl of options.data_dir in any training format (data/dataset.h); the task name "all" stands
// for every such file. The row is rendered as in training; the model continues its prompt greedily, at most 8 ids more
// than the reference answer has; an item counts when both texts are equal after trimming blanks. Rows with several
// answers: the first one. Result and errors as run_tasks.
Json run_exact_match(const models::CausalLm& model, const text::Tokenizer& tokenizer, const TaskOptions& options,
                     const std::function<void(const std::string&, int64_t, int64_t)>& progress);

}  // namespace morex::eval
