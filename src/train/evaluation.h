// What is measured in the middle of training. Nothing here changes the run: no random state is shared with it.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/warnings.h"
#include "data/dataset.h"
#include "models/causal_lm.h"
#include "text/tokenizer.h"
#include "train/recipe.h"

namespace morex::train {

struct EvaluationResult {
  Json metrics = Json::object();  // eval_loss, eval_perplexity, eval_TASK_acc …
  std::vector<Json> samples;      // {prompt, text}
};

class Evaluation {
 public:
  // Reads the validation file, whose rows must name their task where `wants_task`, and encodes the sample prompts.
  // Recipe, model and warnings must outlive this.
  Evaluation(const Recipe& recipe, const models::CausalLm& model, std::shared_ptr<const text::Tokenizer> tokenizer,
             int64_t pad_id, bool wants_task, Warnings& warnings);

  bool wanted() const;  // whether the recipe asks for anything
  const data::Dataset& validation() const { return validation_; }

  // Runs all of it; `poll` is called often and may throw to stop.
  EvaluationResult run(const std::function<void()>& poll) const;

 private:
  const Recipe& recipe_;
  const models::CausalLm& model_;
  std::shared_ptr<const text::Tokenizer> tokenizer_;
  int64_t pad_id_;
  Warnings& warnings_;
  data::Dataset validation_;
  std::vector<nn::Prompt> prompts_;
};

// Whether a larger value of this metric is better: not for losses and perplexities.
bool larger_is_better(const std::string& metric);

}  // namespace morex::train
