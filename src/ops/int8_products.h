// Matrix products with a weight in eight bits, dequantised one tile at a time. No autograd: bricks as in gemm.h.
#pragma once
#include <ATen/core/Tensor.h>

#include "ops/int8_blocks.h"

namespace morex::ops {

// Elements of the weight that are dequantised at a time, in the other operand's dtype (4 MiB in float32): the memory of
// a call beside its result. At least one row, or 32 columns, of the weight.
inline constexpr int64_t kInt8TileElements = int64_t{1} << 20;

// x [T, in] float32, bfloat16 or float64, W [out, in] in blocks -> x·Wᵀ [T, out] in x's dtype. Up to 4 rows of x are
// multiplied with the blocks as they lie, in float32 and without a tile.
// Error: as gemm.h with the dequantised weight (int8_blocks.h); a tile takes whole rows here and whole columns below,
// so that no sum is split.
at::Tensor int8_matmul_nt(const at::Tensor& x, const Int8Blocks& w);
// dx [T, in] = dy [T, out]·W, or dx += dy·W. All of one dtype.
void set_int8_matmul_nn(const at::Tensor& dx, const at::Tensor& dy, const Int8Blocks& w);
void add_int8_matmul_nn(const at::Tensor& dx, const at::Tensor& dy, const Int8Blocks& w);

}  // namespace morex::ops
