#include "train/sequence_inputs.h"

#include "base/error.h"
#include "eval/prompts.h"
#include "train/cluster_prompts.h"

namespace morex::train {

std::vector<std::string> task_names_of(const std::vector<data::Example>& examples) {
  std::vector<std::string> tasks;
  for (const data::Example& example : examples)
    if (!example.facts.task.empty()) tasks.push_back(example.facts.task);
  return nn::task_names(std::move(tasks));
}

void check_sequence_inputs(const Recipe& recipe, const nn::SequenceNeeds& needs,
                           const std::vector<data::Example>& training, const std::vector<data::Example>& validation) {
  const bool reads =
      !recipe.clusters_file.empty() || !recipe.encoder_name_or_path.empty() || !recipe.embeddings_file.empty();
  MOREX_CHECK(!reads || !needs.clusters.empty(), ErrorKind::kConfig,
              "[recipe] clusters_file, encoder_name_or_path and embeddings_file have no meaning for a method that uses "
              "no clusters. Hint: prior: {{kind: clusters}}");
  MOREX_CHECK(needs.tasks || recipe.eval_task.empty(), ErrorKind::kConfig,
              "[recipe] eval_task has no meaning for a method none of whose routers goes by the task");
  if (!needs.tasks) return;
  eval::check_tasks(training, *needs.tasks, recipe.train_file, recipe.data.task_column);
  eval::check_tasks(validation, *needs.tasks, recipe.validation_file, recipe.data.task_column);
  if (!recipe.eval_task.empty() || !recipe.sample_prompts.empty())
    needs.tasks->id_of(recipe.eval_task, "recipe: eval_task", ErrorKind::kConfig);
  for (const std::string& task : recipe.eval_tasks)
    if (recipe.eval_task.empty())
      needs.tasks->id_of(task, "recipe: eval_tasks without an eval_task", ErrorKind::kConfig);
}

void warn_of_unread_columns(const Recipe& recipe, const NeededColumns& needed, Warnings& warnings) {
  const data::DatasetOptions defaults;
  if (!needed.task && recipe.data.task_column != defaults.task_column)
    warnings.add("task_column", "[recipe] task_column is not read: no router of the method goes by the task");
  if (!needed.sample_type && recipe.data.sample_type_column != defaults.sample_type_column)
    warnings.add("sample_type_column", "[recipe] sample_type_column is not read: no loss of the method needs it");
}

std::unique_ptr<eval::SequenceReader> make_sequence_reader(const Recipe& recipe, const models::CausalLm& model,
                                                           Trainable& trainable,
                                                           const std::vector<data::Example>& examples,
                                                           const std::filesystem::path& clusters, Warnings& warnings,
                                                           const std::function<void()>& poll) {
  const nn::SequenceNeeds needs = trainable.sequence_needs();
  eval::EmbedderChoice embedder;
  embedder.encoder = recipe.encoder_name_or_path;
  if (!recipe.embeddings_file.empty()) embedder.embeddings.push_back({recipe.embeddings_file, recipe.train_file});
  if (!recipe.validation_embeddings_file.empty())
    embedder.embeddings.push_back({recipe.validation_embeddings_file, recipe.validation_file});
  std::unique_ptr<eval::ClusterReader> scores;
  if (!needs.clusters.empty())
    scores = make_cluster_reader(model, trainable, examples, embedder, clusters, recipe.seed, warnings, poll);
  if (scores == nullptr && !needs.tasks && !needs.sample_types) return nullptr;
  return std::make_unique<eval::SequenceReader>(needs, std::move(scores), model.device());
}

}  // namespace morex::train
