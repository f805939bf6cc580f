#include "train/evaluation.h"

#include "eval/generate.h"
#include "eval/loss.h"
#include "eval/tasks.h"
#include "train/sample_prompt.h"

namespace morex::train {

Evaluation::Evaluation(const Recipe& recipe, const models::CausalLm& model,
                       std::shared_ptr<const text::Tokenizer> tokenizer, int64_t pad_id, bool wants_task,
                       Warnings& warnings)
    : recipe_(recipe), model_(model), tokenizer_(std::move(tokenizer)), pad_id_(pad_id), warnings_(warnings) {
  if (!recipe.validation_file.empty()) {
    data::DatasetOptions options = recipe.data;
    options.max_rows = recipe.max_eval_samples;
    options.wants_task = wants_task;
    options.file = 1;  // 0 is the training file
    validation_ = data::load_dataset(recipe.validation_file, *tokenizer_, options, warnings);
  }
  for (const std::string& prompt : recipe.sample_prompts) {
    SequenceFacts facts;
    facts.question = prompt;
    facts.task = recipe.eval_task;
    prompts_.emplace_back(encode_sample_prompt(prompt, recipe.train_file, recipe.data, *tokenizer_), facts);
  }
}

bool Evaluation::wanted() const {
  return !validation_.examples.empty() || !recipe_.eval_tasks.empty() || !prompts_.empty();
}

EvaluationResult Evaluation::run(const std::function<void()>& poll) const {
  EvaluationResult result;
  if (!validation_.examples.empty()) {
    const eval::LossResult loss = eval::evaluate_loss(model_, validation_.examples, recipe_.per_device_eval_batch_size,
                                                      pad_id_, [&](int64_t, int64_t) { poll(); });
    result.metrics["eval_loss"] = loss.mean();
    result.metrics["eval_perplexity"] = loss.perplexity();
  }
  if (!recipe_.eval_tasks.empty()) {
    eval::TaskOptions options;
    options.tasks = recipe_.eval_tasks;
    options.data_dir = recipe_.eval_data_dir;
    options.limit = recipe_.eval_limit;
    options.task = recipe_.eval_task;
    const Json scores =
        eval::run_tasks(model_, *tokenizer_, options, warnings_, [&](const std::string&, int64_t, int64_t) { poll(); });
    for (const auto& [task, values] : scores.at("tasks").items())
      for (const auto& [key, value] : values.items())
        if (key.starts_with("acc") && value.is_number()) result.metrics[fmt::format("eval_{}_{}", task, key)] = value;
  }
  for (size_t i = 0; i < prompts_.size(); ++i) {
    eval::GenerationOptions options;
    options.max_new_tokens = recipe_.sample_max_new_tokens;
    const eval::Generated answer =
        eval::generate(model_, tokenizer_.get(), prompts_[i], options, [&](const std::string&) { poll(); });
    result.samples.push_back({{"prompt", recipe_.sample_prompts[i]}, {"text", answer.text}});
  }
  return result;
}

bool larger_is_better(const std::string& metric) {
  return metric.find("loss") == std::string::npos && metric.find("perplexity") == std::string::npos;
}

}  // namespace morex::train
