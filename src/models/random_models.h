// Models whose weights mean nothing, of any depth and at little cost: for measuring what a real one will need.
#pragma once
#include <cstdint>
#include <memory>

#include "models/causal_lm.h"

namespace morex::models {

class WeightSource;

class RandomModels {
 public:
  RandomModels(ModelConfig config, const LoadOptions& options);
  ~RandomModels();

  // The configuration with that number of layers. Weights of equal shape, in all models made here, are one tensor of
  // small random numbers (vectors: ones): together they take the memory of the embedding and of one layer.
  std::unique_ptr<CausalLm> make(int64_t layers);

  const ModelConfig& config() const { return config_; }

 private:
  ModelConfig config_;
  std::unique_ptr<WeightSource> weights_;
};

}  // namespace morex::models
