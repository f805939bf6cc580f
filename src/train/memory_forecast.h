// How much memory a training run will take, and how many of its layers must be recomputed to stay within a budget.
#pragma once
#include <cstdint>
#include <functional>

#include "base/warnings.h"
#include "models/model_config.h"
#include "train/recipe.h"
#include "train/runtime.h"
#include "train/step_memory.h"

namespace morex::train {

struct MemoryForecast {
  // Bytes. `program`: the process without large tensors; data, tokenizer and compiled products are in it. `step`:
  // tensors of one micro-batch's forward and backward pass.
  double program = 0, weights = 0, parameters = 0, gradients = 0, moments = 0, step = 0;
  int64_t layers = 0, recomputed_layers = 0;
  int64_t rows = 0, length = 0, tokens = 0;  // of the largest micro-batch
  double tensors() const { return weights + parameters + gradients + moments + step; }
  // An allowance for what lies free between tensors when they take most.
  double gaps() const { return 0.03 * tensors(); }
  double total() const { return program + tensors() + gaps(); }
};

// What this process takes beside the arena of large tensors (ops/arena_allocator.h), now. Without the arena the tensors
// are in it, and a forecast of it too high.
double process_beside_tensors();

// For a run with that largest micro-batch (a later epoch may hold a larger one), on this machine: a few layers of the
// step are run (StepMemory), on the CPU, whatever the recipe's device. `program` tells what the process takes beside
// tensors, asked when these have run. Recomputed layers: all with gradient_checkpointing, with a memory_budget_gib the
// fewest that fit it. Throws Error(kConfig) when all of them are not enough, and what StepMemory throws.
MemoryForecast forecast_memory(const Recipe& recipe, const Runtime& runtime, const models::ModelConfig& config,
                               const LargestBatch& largest, const std::function<double()>& program, Warnings& warnings);

}  // namespace morex::train
