// Blocks of 64 queries or keys as operands of small-block products (block_product.h), in float32 or bfloat16.
#pragma once
#include <c10/util/BFloat16.h>

#include <cstdint>

namespace morex::ops {

inline constexpr int64_t kAttentionBlock = 64;

inline int64_t blocks_of(int64_t n) { return (n + kAttentionBlock - 1) / kAttentionBlock; }

// Rows 0 … rows - 1 of x, `stride` apart, as a left operand [64, width], zero behind the last.
template <typename From, typename T>
void left_rows(const From* x, int64_t stride, int64_t rows, int64_t width, T* left);

// A left operand [64, width] turned: the left operand [width, 64]. Whole eights of bfloat16.
void left_columns(const float* left, int64_t width, float* columns);
void left_columns(const c10::BFloat16* left, int64_t width, c10::BFloat16* columns);

// s [m, n], rows `stride` apart and m even, as an operand: s itself in float32, rounded into `room` in bfloat16. With
// `sums` [m] also what stands in each row of it, summed.
const float* as_left(const float* s, int64_t stride, int64_t m, int64_t n, float* room, float* sums = nullptr);
const c10::BFloat16* as_left(const float* s, int64_t stride, int64_t m, int64_t n, c10::BFloat16* room,
                             float* sums = nullptr);
const float* as_right(const float* s, int64_t stride, int64_t m, int64_t n, float* room);
const c10::BFloat16* as_right(const float* s, int64_t stride, int64_t m, int64_t n, c10::BFloat16* room);

// Rows of float32 sums into y, `stride` apart, rounded to its type.
template <typename To>
void write_rows(const float* sums, int64_t rows, int64_t width, To* y, int64_t stride);
// The same, row r divided by totals[r]; zeros where that is zero.
template <typename To>
void write_means(float* sums, const float* totals, int64_t rows, int64_t width, To* y, int64_t stride);
// The same from sums that stand turned, [width, 64]; `room` for as many numbers.
template <typename To>
void write_columns(const float* sums, int64_t rows, int64_t width, float* room, To* y, int64_t stride);

}  // namespace morex::ops
