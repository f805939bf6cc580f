// How much memory a training run will need, from shapes alone.
#pragma once
#include <cstdint>
#include <vector>

#include "adapters/adapter_set.h"
#include "models/causal_lm.h"

namespace morex::cli {

struct MemoryForecast {
  // Bytes. `program`: the process with LibTorch before a model is loaded.
  double program = 0, weights = 0, parameters = 0, gradients = 0, moments = 0, activations = 0, logits = 0;
  double total() const { return program + weights + parameters + gradients + moments + activations + logits; }
};

struct MemoryInputs {
  int64_t element_bytes = 4;    // of the base's weights and activations
  int64_t parameter_bytes = 4;  // of trainable values, gradients and moments
  int64_t tokens = 0;           // T = rows · length of one micro-batch, padding included
  bool full = false;            // every weight is trained
};

// `model` may be on the meta device; `costs` are the adapter's sites (empty: none, or method full).
// Per decoder layer the step keeps, in the base's type, T · (4·D + 3·Q + 2·K + 3·F) elements: two residual streams and
// their two norms, queries, the attention's output in two layouts, keys and values, gate, up and their product
// (D hidden, Q query width, K key width, F feed-forward width). An adapter keeps T · R float32 elements, R the ranks of
// all its sites. The head holds one block of float32 logits, at most 2^24, beside the same in the base's type.
MemoryForecast forecast_memory(models::CausalLm& model, const std::vector<adapters::SiteCost>& costs,
                               const MemoryInputs& inputs);

}  // namespace morex::cli
