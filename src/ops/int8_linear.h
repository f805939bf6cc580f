// The base's linear map with a weight in eight bits.
#pragma once
#include <ATen/core/Tensor.h>

#include "ops/int8_blocks.h"

namespace morex::ops {

// Elements of the weight that are dequantised at a time, in x's dtype (4 MiB in float32).
inline constexpr int64_t kInt8TileElements = int64_t{1} << 20;

// y = x·Wᵀ.  x [T, in] float32, bfloat16 or float64; W [out, in] in blocks -> [T, out] in x's dtype.
// Grad: x. Saves the weight's handles only. Memory of a call, forward or backward, beside its result: one tile of
// kInt8TileElements (at least one row, backward one block's width of a column).
// Up to 4 rows of x are multiplied with the blocks as they lie, in float32 and without a tile.
// Error: as frozen_linear with the dequantised weight (int8_blocks.h), of which each element is formed as there; a tile
// takes whole rows forward and whole columns backward, so that no sum is split.
at::Tensor int8_linear(const at::Tensor& x, const Int8Blocks& weight);

}  // namespace morex::ops
