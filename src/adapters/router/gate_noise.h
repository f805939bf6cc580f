// Noise on logits of noisy gates.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

#include "adapters/site.h"

namespace morex::adapters {

// Standard normal numbers like `logits` [T·parents, E], no gradient: ctx.given_noise["MODULE.LEVEL"] where it is given,
// else the stream named after (module, level, micro-step), whatever the batch is cut into. Throws Error(kConfig) when
// the given noise has another size.
at::Tensor gate_noise(const at::Tensor& logits, int64_t level, int64_t parents, const TokenRows& rows);

}  // namespace morex::adapters
