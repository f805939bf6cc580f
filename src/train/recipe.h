// A training recipe: every option with its default, its meaning and its check. The config reference is generated from
// the same table.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/warnings.h"
#include "data/dataset.h"

namespace morex::train {

struct Recipe {
  // model and data
  std::string model_name_or_path, tokenizer_name_or_path, train_file, validation_file, output_dir;
  data::DatasetOptions data;
  std::string clusters_file;         // centroids of the prior `clusters`; empty: made from the training prompts
  std::string encoder_name_or_path;  // sentence encoder that reads the prompts for them; empty: the base
  std::string embeddings_file, validation_embeddings_file;  // or the vectors of the rows
  int64_t max_eval_samples = -1;                            // rows of validation_file; -1: all
  bool group_by_length = true;
  bool shuffle = true;  // false: the file's order, batch after batch
  // optimisation
  double learning_rate = 2e-4, weight_decay = 0.0, max_grad_norm = 1.0;
  double adam_beta1 = 0.9, adam_beta2 = 0.999, adam_epsilon = 1e-8;
  int64_t per_device_train_batch_size = 8, gradient_accumulation_steps = 1, per_device_eval_batch_size = 8;
  double num_train_epochs = 1.0;
  int64_t max_steps = -1;
  std::string lr_scheduler_type = "linear";  // constant, constant_with_warmup, linear, cosine
  double warmup_ratio = 0.0;
  int64_t warmup_steps = 0;
  // running
  int64_t logging_steps = 10, eval_steps = 0, save_steps = 0, save_total_limit = 2;
  std::string resume_from_checkpoint;  // "", a folder, or "auto"
  bool load_best_model_at_end = false;
  std::string metric_for_best_model = "eval_loss";
  std::vector<std::string> eval_tasks;  // evaluated at eval_steps as eval_TASK_acc
  std::string eval_data_dir;
  int64_t eval_limit = -1;
  std::string eval_task;  // what eval_tasks and sample_prompts stand for; empty: eval_tasks themselves
  std::vector<std::string> sample_prompts;  // generated from at eval_steps
  int64_t sample_max_new_tokens = 48;
  uint64_t seed = 42;
  std::string dtype = "auto";   // float32, bfloat16, float64, auto
  bool load_in_8bit = false;    // the base's linear weights, models::LoadOptions
  std::string device = "auto";  // cpu, cuda, auto
  int64_t threads = 0;          // 0: all available cores
  bool report_to_tensorboard = true;
  bool profile = false;
  // method: keys handed on to the adapters, or method: full
  Json method;
  // memory
  bool gradient_checkpointing = false;  // every decoder layer is recomputed in the backward pass
  double memory_budget_gib = 0;         // as few as needed to stay within it; 0: no budget
};

// Checks everything at once: all problems in one Error(kConfig), unknown keys with the nearest name. Keys of the method
// part are passed on in `method`: adapters::read_method checks them here, AdapterSet::create against the model.
Recipe parse_recipe(const Json& recipe);

// Every option with its value, and the method's keys beside them; parse_recipe reads it back to the same recipe.
Json recipe_to_json(const Recipe& recipe);

// One row per option, those of the method part last, for the reference page and for errors. `default_value` is JSON
// text, "required" where there is none, "by method" where the preset says it.
struct OptionRow {
  std::string name, type, default_value, meaning;
};
std::vector<OptionRow> recipe_options();

// What a resumed run may not change: one "key: was X, is Y" for each key in which two recipes (as recipe_to_json
// writes them) differ and which matters for the trained numbers. Files are compared by their digests, not by path.
std::vector<std::string> result_differences(const Json& before, const Json& now);

}  // namespace morex::train
