// AdamW over the flat buffer of a ParameterStore.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "nn/parameter_store.h"
#include "ops/flat_adamw.h"
#include "train/recipe.h"

namespace morex::train {

class Optimizer {
 public:
  // Moments are two zeroed buffers of the store's dtype and size. The store must outlive the optimiser.
  Optimizer(nn::ParameterStore& store, const Recipe& recipe);

  // One update with the gradients in the store; `step` counts the updates done before. Learning-rate factors, decay
  // and frozen steps are the segments' own.
  void step(double learning_rate, int64_t step);

  const at::Tensor& exp_avg() const { return exp_avg_; }        // [store.size()]
  const at::Tensor& exp_avg_sq() const { return exp_avg_sq_; }  // [store.size()]

 private:
  nn::ParameterStore& store_;
  ops::AdamWOptions options_;
  std::vector<ops::AdamWSegment> segments_;
  at::Tensor exp_avg_, exp_avg_sq_;
};

// SHA-256 over names, shapes and places of the leaves: two stores of one layout can exchange their flat buffers.
std::string layout_digest(const nn::ParameterStore& store);

}  // namespace morex::train
