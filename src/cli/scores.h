// The scores that eval and convert report: tasks under a protocol, and the loss on a file.
#pragma once
#include <string>
#include <vector>

#include "base/json.h"
#include "base/warnings.h"
#include "data/dataset.h"
#include "eval/tasks.h"
#include "models/causal_lm.h"
#include "text/tokenizer.h"

namespace morex::cli {

class Command;

struct ScoreOptions {
  eval::TaskOptions tasks;
  std::string data_dir, loss_file;
  data::DatasetOptions data;
  int64_t loss_batch_size = 8;
  bool any() const { return !tasks.tasks.empty() || !loss_file.empty(); }
};

// --tasks, --protocol, --data, --num-fewshot, --fewshot-seed, --limit, --loss, --max-seq-length.
void add_score_options(Command command, ScoreOptions& options);

// Refused before a model is loaded: tasks without their folder, names the protocol does not know. Error(kConfig).
void check_score_options(const ScoreOptions& options);

// What run_tasks gives; `samples`: the file for one line an item, "" for none.
OrderedJson score_tasks(const ScoreOptions& options, const models::CausalLm& model, const text::Tokenizer& tokenizer,
                        const std::string& samples, Warnings& warnings, bool quiet);

// {n, tokens, loss, perplexity} of these examples. Throws Error(kNumeric) for a loss that is not finite.
OrderedJson score_loss(const std::vector<data::Example>& examples, int64_t batch_size, const models::CausalLm& model,
                       const text::Tokenizer& tokenizer, bool quiet);

std::string score_text(const OrderedJson& task, const std::string& name);  // "0.5600 ± 0.0410", "" without the score

}  // namespace morex::cli
