// The forward and backward passes of one step, and what is checked about the gradients they leave.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/warnings.h"
#include "data/batch.h"
#include "models/causal_lm.h"
#include "nn/routing_tally.h"
#include "train/trainable.h"

namespace morex::train {

struct StepSums {
  double nll = 0;          // Σ over supervised tokens of the window
  int64_t supervised = 0;  // how many
  int64_t tokens = 0;      // real tokens, padding not counted
  double auxiliary = 0;    // the method's weighted losses, averaged by tokens
  double loss() const { return supervised > 0 ? nll / static_cast<double>(supervised) : 0; }
};

// Leaves in the store the gradient of  Σ nll / (supervised tokens of the window) + Σ_micro auxiliary · (its share of
// the window's real tokens), and returns the sums. The result does not depend, beyond rounding, on how the examples
// are cut into micro-batches. Each micro-batch's graph is freed before the next one runs. `step` counts updates done
// before, of total_steps; `tally`, when given, counts what the gates do. Throws Error(kNumeric) naming step,
// micro-batch and the first tensor that is not finite.
StepSums accumulate_gradients(const models::CausalLm& model, Trainable& trainable,
                              const std::vector<data::Batch>& window, uint64_t seed, int64_t step, int64_t total_steps,
                              nn::RoutingTally* tally = nullptr);

// Norm of the gradients before clipping to max_norm (0: no clipping). What is frozen at this step does not count: its
// gradients are cleared. Throws Error(kNumeric) naming the first leaf whose gradient is not finite.
double checked_clip(nn::ParameterStore& store, double max_norm, int64_t step);

// Finds leaves that never receive a gradient. Some methods start with gradients that are exactly zero (LoRA's A while
// B = 0), so a leaf is dead only if it is still without one after the parameters have moved.
class GradientWatch {
 public:
  // To be called with the gradients of each step, before its update of the given learning rate.
  void observe(const nn::ParameterStore& store, int64_t step, double learning_rate, Warnings& warnings);
  bool done() const { return done_; }

 private:
  bool done_ = false, moved_ = false;
  std::vector<bool> alive_;
};

}  // namespace morex::train
