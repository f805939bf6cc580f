// The three gates of S'MoRE (spec: softmax with top f, noisy top f on cosines, all experts).
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

#include "adapters/gates.h"
#include "adapters/site.h"

namespace morex::adapters {

enum class TreeGate { kSwitch, kNoisyTopK, kDense };

struct TreeGateInput {
  TreeGate kind = TreeGate::kSwitch;
  int64_t level = 0, active = 1;
  at::Tensor logits;       // [T·P, s]; noisy: cosines without noise
  at::Tensor noise_scale;  // [T·P, s], noisy in training; undefined otherwise
  // Of a mixture of routers:
  at::Tensor reported;      // [T·P, s] the distribution that the balance loss reads; undefined: softmax of the logits
  bool logarithms = false;  // the logits are logarithms of probabilities
};

// Rows divided by their Euclidean norm (at least 1e-12).
at::Tensor unit_rows(const at::Tensor& x);

// Chooses: ids in descending order, the lower index first where values are equal. Reports to rows.recorder what the
// balance loss needs: switch "probability"; noisy "importance" and "load"; padded tokens do not count.
// Switch: weights = top f of softmax, divided by their sum where f > 1. Noisy: softmax of the chosen logits, or the raw
// logit where f = 1, as the official code does. Noise comes from ctx.given_noise["MODULE.LEVEL"] in training, else from
// the stream named after (module, level, micro-step), whatever the batch is cut into.
LevelGates choose(const TreeGateInput& input, int64_t tokens, const TokenRows& rows);

}  // namespace morex::adapters
