#include "train/recipe_table.h"

#include <cstdlib>
#include <utility>

#include "base/strings.h"
#include "train/option_value.h"
#include "train/schedule.h"

namespace morex::train {
namespace {

template <typename T, typename Access>
RecipeOption option(std::string name, Access access, std::string meaning, Effect effect, Check<T> check = {}) {
  RecipeOption row;
  row.name = std::move(name);
  row.type = type_name<T>();
  row.meaning = std::move(meaning);
  row.effect = effect;
  row.read = [access, check](const Json& value, Recipe& recipe) -> std::string {
    const std::optional<T> converted = convert<T>(value);
    if (!converted) return type_name<T>();
    if (check)
      if (std::string problem = check(*converted); !problem.empty()) return problem;
    access(recipe) = *converted;
    return "";
  };
  row.write = [access](const Recipe& recipe) { return Json(access(const_cast<Recipe&>(recipe))); };
  return row;
}

template <typename T>
RecipeOption option(std::string name, T Recipe::*member, std::string meaning, Effect effect, Check<T> check = {}) {
  const auto access = [member](Recipe& recipe) -> T& { return recipe.*member; };
  return option<T>(std::move(name), access, std::move(meaning), effect, std::move(check));
}

template <typename T>
RecipeOption data_option(std::string name, T data::DatasetOptions::*member, std::string meaning, Check<T> check = {}) {
  const auto access = [member](Recipe& recipe) -> T& { return recipe.data.*member; };
  return option<T>(std::move(name), access, std::move(meaning), Effect::kResult, std::move(check));
}

// A file or folder: a leading ~/ stands for the home folder. Digests are compared on a resume, so paths may change.
RecipeOption path_option(std::string name, std::string Recipe::*member, std::string meaning) {
  RecipeOption row = option<std::string>(std::move(name), member, std::move(meaning), Effect::kNone);
  const auto read_text = row.read;
  row.read = [read_text, member](const Json& value, Recipe& recipe) {
    const std::string problem = read_text(value, recipe);
    std::string& path = recipe.*member;
    const char* home = std::getenv("HOME");
    if (problem.empty() && home != nullptr && path.starts_with("~/")) path.replace(0, 1, home);
    return problem;
  };
  return row;
}

RecipeOption required(RecipeOption row) {
  row.required = true;
  return row;
}

// Hugging Face's report_to takes names; the recipe holds one switch.
RecipeOption report_to_option() {
  RecipeOption row;
  row.name = "report_to";
  row.type = "text";
  row.meaning = "`tensorboard`: event files in output_dir; `none`: metrics.jsonl only.";
  row.effect = Effect::kNone;
  row.read = [](const Json& value, Recipe& recipe) -> std::string {
    const auto names = convert<std::vector<std::string>>(value);
    if (!names || names->size() != 1 || (names->front() != "tensorboard" && names->front() != "none"))
      return "tensorboard or none";
    recipe.report_to_tensorboard = names->front() == "tensorboard";
    return "";
  };
  row.write = [](const Recipe& recipe) { return Json(recipe.report_to_tensorboard ? "tensorboard" : "none"); };
  return row;
}

// Hugging Face also takes `true` for "the latest checkpoint".
RecipeOption resume_option() {
  RecipeOption row = path_option("resume_from_checkpoint", &Recipe::resume_from_checkpoint,
                                 "A checkpoint folder to go on from; `auto` (or true): the latest complete one in "
                                 "output_dir, a fresh start when there is none; empty: a fresh start.");
  const auto read_text = row.read;
  row.read = [read_text](const Json& value, Recipe& recipe) -> std::string {
    if (!value.is_boolean()) return read_text(value, recipe).empty() ? "" : "a folder, auto, true or false";
    recipe.resume_from_checkpoint = value.get<bool>() ? "auto" : "";
    return "";
  };
  return row;
}

std::vector<RecipeOption> make_table() {
  using R = Recipe;
  using D = data::DatasetOptions;
  constexpr Effect result = Effect::kResult, none = Effect::kNone;
  return {
      required(path_option("model_name_or_path", &R::model_name_or_path,
                           "The base: a Hugging Face folder or a .gguf file.")),
      path_option("tokenizer_name_or_path", &R::tokenizer_name_or_path,
                  "Folder, tokenizer.json or .gguf file of the tokenizer; empty: the base's own."),
      required(path_option("train_file", &R::train_file, "Training data, JSON Lines.")),
      path_option("validation_file", &R::validation_file, "Data for eval_loss, JSON Lines; empty: none."),
      path_option(
          "clusters_file", &R::clusters_file,
          "Centroids for the prior `clusters`, made by `morex cluster`; empty: made from the training prompts."),
      path_option(
          "encoder_name_or_path", &R::encoder_name_or_path,
          "Folder of a sentence encoder (BERT type) that reads the prompts for the prior `clusters`; empty: the "
          "base does."),
      path_option(
          "embeddings_file", &R::embeddings_file,
          "Vectors of train_file's rows for the prior `clusters`, .npy or .safetensors, row by row; in place of "
          "an encoder."),
      path_option("validation_embeddings_file", &R::validation_embeddings_file, "The same for validation_file's rows."),
      required(path_option("output_dir", &R::output_dir, "Everything the run writes goes here.")),
      data_option("data_format", &D::format,
                  "What a row is: alpaca, messages, completion, text; auto goes by the first row's keys.",
                  one_of({"auto", "alpaca", "messages", "completion", "text"})),
      data_option("max_seq_length", &D::max_seq_length, "Longest example in tokens; longer ones are cut and counted.",
                  at_least(2)),
      data_option("truncation", &D::truncation,
                  "concat: prompt and response are cut by a shared rule; whole_text: their text is cut at the right.",
                  one_of({"concat", "whole_text"})),
      data_option("train_on_inputs", &D::train_on_inputs, "Also learn to predict the prompt."),
      data_option("train_on_eos", &D::train_on_eos, "End each response with the end token and learn it."),
      data_option("task_column", &D::task_column,
                  "Column with a row's task, a name or a number, for a router of kind task."),
      data_option("sample_type_column", &D::sample_type_column,
                  "Column with a row's sample type, 0 or 1, for a loss of kind localized."),
      data_option("max_train_samples", &D::max_rows, "Only the first rows of train_file; -1: all.",
                  positive_or_minus_one()),
      option("max_eval_samples", &R::max_eval_samples, "Only the first rows of validation_file; -1: all.", none,
             positive_or_minus_one()),
      option("group_by_length", &R::group_by_length, "Batches of examples of similar length; needs shuffle.", result),
      option("shuffle", &R::shuffle, "A new order each epoch; false: the file's order, batch after batch.", result),

      option("learning_rate", &R::learning_rate, "Peak learning rate of AdamW.", result,
             between(0, true, kInfinity, true)),
      option("weight_decay", &R::weight_decay, "Decoupled weight decay.", result, between(0, true, kInfinity, true)),
      option("max_grad_norm", &R::max_grad_norm, "Gradients are clipped to this norm; 0: never.", result,
             between(0, true, kInfinity, true)),
      option("adam_beta1", &R::adam_beta1, "AdamW's decay of the first moment.", result, between(0, true, 1, false)),
      option("adam_beta2", &R::adam_beta2, "AdamW's decay of the second moment.", result, between(0, true, 1, false)),
      option("adam_epsilon", &R::adam_epsilon, "AdamW's epsilon.", result, between(0, true, kInfinity, true)),
      option("per_device_train_batch_size", &R::per_device_train_batch_size, "Examples of a micro-batch.", result,
             at_least(1)),
      option("gradient_accumulation_steps", &R::gradient_accumulation_steps,
             "Micro-batches of a step; the loss is the mean over all their supervised tokens.", result, at_least(1)),
      option("per_device_eval_batch_size", &R::per_device_eval_batch_size, "Examples of an evaluation batch.", none,
             at_least(1)),
      option("num_train_epochs", &R::num_train_epochs, "Passes over the data; a fraction is allowed.", result,
             between(0, false, kInfinity, true)),
      option("max_steps", &R::max_steps, "Number of steps; when given (not -1) it replaces num_train_epochs.", result,
             positive_or_minus_one()),
      option("lr_scheduler_type", &R::lr_scheduler_type,
             "How the learning rate goes: " + join(schedule_names(), ", ") + ".", result, one_of(schedule_names())),
      option("warmup_ratio", &R::warmup_ratio, "Share of the steps in which the learning rate rises from 0.", result,
             between(0, true, 1, true)),
      option("warmup_steps", &R::warmup_steps, "The same as a number of steps; give one of the two.", result,
             at_least(0)),

      option("logging_steps", &R::logging_steps,
             "Steps between lines of metrics.jsonl and routing.jsonl; 0: the last step only.", none, at_least(0)),
      option("eval_steps", &R::eval_steps, "Steps between evaluations; 0: at the end only.", none, at_least(0)),
      option("save_steps", &R::save_steps, "Steps between checkpoints; 0: at the end only.", none, at_least(0)),
      option("save_total_limit", &R::save_total_limit,
             "Checkpoints kept, the best and the last always among them; 0: all.", none, at_least(0)),
      resume_option(),
      option("load_best_model_at_end", &R::load_best_model_at_end,
             "Write the parameters of the best evaluation at the end, not the last ones.", none),
      option("metric_for_best_model", &R::metric_for_best_model,
             "Which metric decides: eval_loss, or eval_TASK_acc and its like (there, more is better).", none),
      option("eval_tasks", &R::eval_tasks, "Multiple-choice tasks scored at each evaluation.", none),
      path_option("eval_data_dir", &R::eval_data_dir, "Folder with TASK.jsonl for each of eval_tasks."),
      option("eval_limit", &R::eval_limit, "Only the first items of each task; -1: all.", none,
             positive_or_minus_one()),
      option("eval_task", &R::eval_task,
             "For a router of kind task: what eval_tasks and sample_prompts stand for; empty: each of eval_tasks for "
             "itself.",
             none),
      option("sample_prompts", &R::sample_prompts, "Prompts answered at each evaluation, into samples.jsonl.", none),
      option("sample_max_new_tokens", &R::sample_max_new_tokens, "Longest answer to a sample prompt, in tokens.", none,
             at_least(1)),
      option("seed", &R::seed, "Decides initial values, data order, dropout and noise.", result),
      option("dtype", &R::dtype,
             "Of the base: float32, bfloat16, float64; auto: bfloat16 where the device multiplies it natively.", result,
             one_of({"auto", "float32", "bfloat16", "float64"})),
      option("load_in_8bit", &R::load_in_8bit,
             "Hold the decoder layers' linear weights of the base in 8 bits, a scale for every 32: a quarter of "
             "float32's memory. They are frozen; products are in dtype.",
             result),
      option("device", &R::device, "cpu, cuda; auto: cuda where there is one.", result,
             one_of({"auto", "cpu", "cuda"})),
      option("threads", &R::threads, "Processor threads; 0: all that this process may use.", none, at_least(0)),
      option("gradient_checkpointing", &R::gradient_checkpointing,
             "Keep of each decoder layer only its input and run it again in the backward pass: less memory, more time, "
             "the same gradients to the bit.",
             none),
      option("memory_budget_gib", &R::memory_budget_gib,
             "Recompute as few of the lowest layers as the forecast of `morex inspect memory` needs to stay within so "
             "many GiB; 0: no budget. CPU only.",
             none, between(0, true, kInfinity, false)),
      report_to_option(),
      option("profile", &R::profile,
             "Write where the time of the third to fifth step goes: profile.txt, and profile.json for chrome://tracing "
             "or Perfetto. CPU only.",
             none),
  };
}

}  // namespace

const std::vector<RecipeOption>& recipe_table() {
  static const std::vector<RecipeOption> table = make_table();
  return table;
}

}  // namespace morex::train
