// Who computes flat low-rank experts: dense, every expert on every token in one product, or gather, each expert on the
// tokens that chose it.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

#include "base/json.h"

namespace morex::adapters {

enum class Execution { kAuto, kDense, kGather };

// The option `execution`: auto, dense or gather. Throws Error(kConfig).
Execution read_execution(const JsonReader& experts);

// One mixture on one projection; `picks` of the `experts` per token, 0: the token decides.
struct MixtureShape {
  int64_t experts = 0, picks = 0, rank = 0;
};

// What auto does for so many tokens in this type, by measurement.
bool gather_pays(const MixtureShape& shape, int64_t tokens, at::ScalarType type);

}  // namespace morex::adapters
