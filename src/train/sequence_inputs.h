// What a run's method must know of its rows: their columns, their tasks, their clusters.
#pragma once
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/warnings.h"
#include "data/example.h"
#include "eval/sequence_reader.h"
#include "models/causal_lm.h"
#include "train/recipe.h"
#include "train/trainable.h"

namespace morex::train {

// The names of the rows' tasks, in the order of their ids; none where no row has a task or all are numbers.
std::vector<std::string> task_names_of(const std::vector<data::Example>& examples);

// Throws Error(kData) naming line and column for a row with a task that the method does not know; Error(kConfig) for an
// eval_task or one of eval_tasks, and for an eval_task, clusters, encoder or embeddings that the method has no use for.
void check_sequence_inputs(const Recipe& recipe, const nn::SequenceNeeds& needs,
                           const std::vector<data::Example>& training, const std::vector<data::Example>& validation);

// A column that the recipe names and the method does not read is a warning.
void warn_of_unread_columns(const Recipe& recipe, const NeededColumns& needed, Warnings& warnings);

// The reader of all that the method needs, with centroids from `clusters`, or made from the examples where that is
// empty; null when it needs nothing. `poll` is called often and may throw to stop. All that is given must outlive it.
std::unique_ptr<eval::SequenceReader> make_sequence_reader(const Recipe& recipe, const models::CausalLm& model,
                                                           Trainable& trainable,
                                                           const std::vector<data::Example>& examples,
                                                           const std::filesystem::path& clusters, Warnings& warnings,
                                                           const std::function<void()>& poll);

}  // namespace morex::train
