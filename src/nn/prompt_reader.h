// What an adapter must know of a sequence before the model reads it, beyond its ids.
#pragma once
#include <cstdint>
#include <vector>

#include "nn/batch_context.h"

namespace morex::nn {

class PromptReader {
 public:
  virtual ~PromptReader() = default;
  // Adds to ctx.per_sequence, one row for each prompt in its order. A function of each prompt alone: what else stands
  // in the batch does not change a bit of it. Runs the model, so it must not be called from within a forward pass.
  virtual void read(const std::vector<std::vector<int64_t>>& prompts, BatchContext& ctx) const = 0;
};

}  // namespace morex::nn
