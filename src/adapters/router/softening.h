// What every router may do to its numbers before it chooses: a temperature of the logits, jitter on the input.
#pragma once
#include <ATen/core/Tensor.h>

#include "base/json.h"
#include "nn/batch_context.h"

namespace morex::adapters {

// Divides logits: one number, or two for a straight line from the first training step to the last. Evaluation and
// generation use the last number.
struct Temperature {
  double first = 1.0, last = 1.0;

  double now(const nn::BatchContext& ctx) const;
  // Grad: logits.
  at::Tensor divide(const at::Tensor& logits, const nn::BatchContext& ctx) const;
};

struct Softening {
  Temperature temperature;
  // j: in training the router's rows see x ∘ U(1-j, 1+j). DEVIATION: MixLoRA's code (MoE-PEFT) multiplies the block's
  // input in place, so that its experts see the noise too.
  double jitter = 0.0;
};

// The router's options logit_temperature (a number, or [first, last]) and jitter_noise. Throws Error(kConfig).
Softening read_softening(const Json& router);

}  // namespace morex::adapters
