#include "base/strings.h"
#include "train/recipe_table.h"

namespace morex::train {
namespace {

bool evaluates(const Recipe& recipe) { return !recipe.validation_file.empty() || !recipe.eval_tasks.empty(); }

// "" or why the metric will not be among the evaluated ones.
std::string metric_problem(const Recipe& recipe) {
  const std::string& metric = recipe.metric_for_best_model;
  if (metric == "eval_loss" || metric == "eval_perplexity")
    return recipe.validation_file.empty() ? fmt::format("metric_for_best_model {} needs a validation_file", metric)
                                          : "";
  for (const std::string& task : recipe.eval_tasks)
    if (metric.starts_with("eval_" + task + "_acc")) return "";
  return fmt::format("metric_for_best_model must be eval_loss or eval_TASK_acc of one of eval_tasks, got '{}'", metric);
}

}  // namespace

std::vector<std::string> conflicting_options(const Recipe& recipe, const Json& given) {
  std::vector<std::string> problems;
  const auto refuse_if = [&problems](bool bad, std::string problem) {
    if (bad) problems.push_back(std::move(problem));
  };
  const auto is_given = [&given](const char* key) { return given.contains(key) && !given[key].is_null(); };

  refuse_if(recipe.warmup_ratio > 0 && recipe.warmup_steps > 0, "warmup_ratio and warmup_steps: give one of the two");
  refuse_if(recipe.lr_scheduler_type == "constant" && (recipe.warmup_ratio > 0 || recipe.warmup_steps > 0),
            "lr_scheduler_type constant has no warm-up: use constant_with_warmup, or drop the warm-up");
  refuse_if(is_given("group_by_length") && recipe.group_by_length && !recipe.shuffle,
            "group_by_length needs shuffle: with shuffle false the file's order is kept");
  refuse_if(recipe.eval_steps > 0 && !evaluates(recipe) && recipe.sample_prompts.empty(),
            "eval_steps needs something to evaluate: a validation_file, eval_tasks or sample_prompts");
  refuse_if(!recipe.eval_tasks.empty() && recipe.eval_data_dir.empty(),
            "eval_tasks needs eval_data_dir, the folder with their files");
  refuse_if(recipe.load_best_model_at_end && !evaluates(recipe),
            "load_best_model_at_end needs a validation_file or eval_tasks");
  refuse_if(!recipe.embeddings_file.empty() && !recipe.encoder_name_or_path.empty(),
            "embeddings_file and encoder_name_or_path: give one of the two");
  refuse_if(recipe.embeddings_file.empty() && !recipe.validation_embeddings_file.empty(),
            "validation_embeddings_file needs embeddings_file");
  refuse_if(
      !recipe.embeddings_file.empty() && recipe.validation_file.empty() != recipe.validation_embeddings_file.empty(),
      "embeddings_file needs validation_embeddings_file where there is a validation_file, and only there");
  refuse_if(!recipe.embeddings_file.empty() && (!recipe.eval_tasks.empty() || !recipe.sample_prompts.empty()),
            "embeddings_file says nothing of eval_tasks and sample_prompts: use encoder_name_or_path, or drop them");
  refuse_if(recipe.gradient_checkpointing && recipe.memory_budget_gib > 0,
            "gradient_checkpointing recomputes every layer, memory_budget_gib as few as needed: give one of the two");

  if (recipe.load_best_model_at_end || recipe.metric_for_best_model != Recipe().metric_for_best_model) {
    const std::string problem = metric_problem(recipe);
    refuse_if(!problem.empty(), problem);
  }

  const bool full = recipe.method.value("method", Json()) == "full";
  refuse_if(recipe.load_in_8bit && full,
            "method full trains every weight, load_in_8bit freezes them: drop one of the two");
  refuse_if(recipe.load_in_8bit && recipe.dtype == "float64", "load_in_8bit goes with dtype float32 or bfloat16");
  if (full)
    for (const auto& [key, value] : recipe.method.items())
      refuse_if(key != "method", fmt::format("method full trains every weight: {} has no meaning there", key));
  return problems;
}

}  // namespace morex::train
