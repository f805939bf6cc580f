// One training run: data, model, adapter, optimiser, checkpoints.
#pragma once
#include <atomic>

#include "base/warnings.h"
#include "train/recipe.h"

namespace morex::train {

struct TrainResult {
  int64_t steps = 0;
  double train_loss = 0, eval_loss = 0, seconds = 0, tokens_per_second = 0;
  int64_t trainable_parameters = 0, peak_memory_bytes = 0;
  std::string adapter_folder;
  std::string profile;  // the tables of profile.txt; empty without
};

// Runs the recipe to its end. `interrupt`, when set by a signal handler, ends it after the current step with a
// checkpoint and Error(kInterrupted).
TrainResult run_training(const Recipe& recipe, Warnings& warnings, const std::atomic<bool>& interrupt, bool quiet);

}  // namespace morex::train
