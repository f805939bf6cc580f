// What a run trains: an adapter on a frozen base, or every weight of the base.
#pragma once
#include <ATen/core/Tensor.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "adapters/adapter_set.h"
#include "base/json.h"
#include "base/warnings.h"
#include "data/dataset.h"
#include "eval/clusters.h"
#include "models/causal_lm.h"
#include "nn/parameter_store.h"
#include "nn/routing_report.h"
#include "text/tokenizer.h"
#include "train/recipe.h"
#include "train/runtime.h"

namespace morex::train {

class Trainable {
 public:
  virtual ~Trainable() = default;

  virtual nn::ParameterStore& parameters() = 0;
  virtual const nn::ParameterStore& parameters() const = 0;

  // The weighted losses of the method for one forward pass; undefined when it has none.
  virtual at::Tensor auxiliary_loss(const nn::RoutingReport& report) const = 0;

  // Writes what `generate` and `eval` take: an adapter folder, or a Hugging Face model folder.
  virtual void save(const std::filesystem::path& folder) const = 0;
  // The file that save() put the parameters into.
  virtual std::filesystem::path parameter_file(const std::filesystem::path& folder) const = 0;

  virtual const adapters::AdapterSet* adapter_set() const { return nullptr; }  // null: every weight is trained

  // What the method needs to know of every sequence; and the centroids that cluster scores come from, which save()
  // writes beside the adapter from then on.
  virtual nn::SequenceNeeds sequence_needs() const { return {}; }
  virtual void keep_clusters(const eval::Clusters& /*clusters*/) {}

  // What the method adds to the base: parameters, bytes, FLOPs of a token.
  virtual Json cost() const = 0;
  // Calls `body` on the bare base; false when there is none (every weight is trained).
  virtual bool without(const std::function<void()>& body) = 0;
};

bool trains_all(const Recipe& recipe);  // method: full

// Whether the recipe's method needs every row's task, or its sample type.
struct NeededColumns {
  bool task = false, sample_type = false;
};
NeededColumns needed_columns(const Recipe& recipe);
// The rows of the recipe's train_file with the columns that its method needs.
data::Dataset load_train_rows(const Recipe& recipe, const text::Tokenizer& tokenizer, Warnings& warnings);
// The recipe whose routers that go by the task know the tasks of these rows.
Recipe with_tasks_of(const Recipe& recipe, const std::vector<data::Example>& examples);

// Builds the recipe's method on the model, initialised from the seed and switched on. `task_names`: those of the data,
// for routers that go by the task and have no names of their own.
std::unique_ptr<Trainable> make_trainable(const Recipe& recipe, const Runtime& runtime, models::CausalLm& model,
                                          Warnings& warnings, const std::vector<std::string>& task_names = {});

// Reads the saved parameters back and compares them with memory, bit for bit. Throws Error(kRun) naming the first
// tensor that differs.
void verify_saved(const Trainable& trainable, const std::filesystem::path& folder);

}  // namespace morex::train
