// Gates of one flat level, turned around: for each expert the tokens that chose it.
#pragma once
#include <ATen/core/Tensor.h>

#include "adapters/gates.h"
#include "ops/expert_rows.h"

namespace morex::adapters {

struct RowsByExpert {
  ops::ExpertRows rows;
  at::Tensor weights;  // [N] of those rows
};

// level: [T, 1, k] with ids, or [T, 1, E]. Gates of exactly zero and tokens without room are left out. Grad: weights.
RowsByExpert rows_by_expert(const LevelGates& level, int64_t experts);

}  // namespace morex::adapters
