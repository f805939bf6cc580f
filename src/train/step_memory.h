// What the forward and backward pass of a micro-batch hold at their peak, found by running a few layers.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "adapters/adapter_set.h"
#include "base/warnings.h"
#include "data/batch.h"
#include "models/random_models.h"
#include "train/recipe.h"
#include "train/runtime.h"

namespace morex::train {

// The largest micro-batch of a run, of a method that keeps padding or of one that does not.
using LargestBatch = std::function<data::Batch(bool keep_padding)>;

// Measures on the CPU, on models of one to three layers with weights that mean nothing and the recipe's own method:
// each layer with what it carries in the whole model. Layers alike are measured once, and their bytes added up.
class StepMemory {
 public:
  // config: of the whole model.
  // Throws Error(kConfig) for a method that does not fit the model.
  StepMemory(const Recipe& recipe, const Runtime& runtime, const models::ModelConfig& config,
             const LargestBatch& largest, Warnings& warnings);
  ~StepMemory();

  // Bytes of tensors allocated at once, beside weights, trainable values, gradients and moments, when the first
  // `recomputed` layers are recomputed (CausalLm::set_recomputed_layers).
  double peak(int64_t recomputed);

  int64_t layers() const;
  const data::Batch& batch() const { return batch_; }
  double base_bytes() const { return base_bytes_; }  // of frozen weights
  // Of the buffer of trainable values.
  double trainable_elements() const { return trainable_elements_; }

 private:
  // The layers of a measured model, from the bottom: numbers of layers of the whole one.
  double measured(const std::vector<int64_t>& layers, int64_t recomputed);
  double measure(const std::vector<int64_t>& layers, int64_t recomputed);
  // What one more layer like `layer` adds between the lowest and the highest.
  double added(int64_t layer, bool recomputed);
  void describe_layers();

  const Recipe& recipe_;
  Runtime runtime_;
  data::Batch batch_;
  models::RandomModels models_;
  std::unique_ptr<models::CausalLm> whole_;
  std::unique_ptr<adapters::AdapterSet> set_;  // null: every weight is trained
  int64_t lowest_ = 0;                         // layer that keeps something for the backward pass
  std::vector<int64_t> like_;                  // for each layer, the first one like it
  double base_bytes_ = 0, trainable_elements_ = 0;
  std::map<std::pair<std::vector<int64_t>, int64_t>, double> measured_;
};

}  // namespace morex::train
