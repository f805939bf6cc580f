// Weights in eight bits: integers in blocks of 32 along a row, each block with a scale of its own.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

namespace morex::ops {

inline constexpr int64_t kInt8Block = 32;

// A matrix [out, in]: element (o, i) is values[o, i] · scales[o, i / 32]; the last block of a row may be
// shorter. 1.0625 bytes an element where 32 divides `in`. The integers and scales of GGUF's Q8_0 are these.
struct Int8Blocks {
  at::Tensor values;  // [out, in] int8, -127 … 127 from quantize_int8
  at::Tensor scales;  // [out, ceil(in / 32)] float16
};

// w [out, in] of any floating type, finite -> its blocks on w's device: scale = the block's largest magnitude / 127 in
// float16, integers rounded to nearest (ties to even). w is read in pieces of 2^20 elements; at most three of them in
// float32 are alive. No gradient. Error of an element: half a scale, 1/254 of the block's largest magnitude; in blocks
// below 0.001 at most 4e-6. A magnitude above 8.3e6 makes the scale infinite: the caller checks.
Int8Blocks quantize_int8(const at::Tensor& w);

// out = the rows `first_row` … and columns `first_column` … that `out` [n, m] has room for, in its dtype (float32,
// float64: exact; bfloat16: rounded once). first_column is a multiple of 32; out is contiguous, on the blocks' device.
void dequantize_into(const at::Tensor& out, const Int8Blocks& blocks, int64_t first_row, int64_t first_column);

// The whole matrix, or some of its rows.
at::Tensor dequantize_int8(const Int8Blocks& blocks, at::ScalarType dtype);
at::Tensor dequantize_int8_rows(const Int8Blocks& blocks, int64_t first, int64_t count, at::ScalarType dtype);

}  // namespace morex::ops
