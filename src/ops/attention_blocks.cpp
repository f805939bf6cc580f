#include "ops/attention_blocks.h"

#include <algorithm>

#include "ops/block_product.h"
#include "ops/row_kernels.h"
#include "ops/vector_loops.h"

namespace morex::ops {
namespace {

constexpr int64_t kBlock = kAttentionBlock;

const uint32_t* words(const c10::BFloat16* x) { return reinterpret_cast<const uint32_t*>(x); }
uint32_t* words(c10::BFloat16* x) { return reinterpret_cast<uint32_t*>(x); }

}  // namespace

template <typename From, typename T>
void left_rows(const From* x, int64_t stride, int64_t rows, int64_t width, T* left) {
  in_vectors([&]() __attribute__((always_inline)) {
    for (int64_t r = 0; r < rows; ++r) convert_row(x + r * stride, left + r * width, width);
  });
  std::fill(left + rows * width, left + kBlock * width, T(0));
}
template void left_rows(const float*, int64_t, int64_t, int64_t, float*);
template void left_rows(const c10::BFloat16*, int64_t, int64_t, int64_t, float*);
template void left_rows(const c10::BFloat16*, int64_t, int64_t, int64_t, c10::BFloat16*);

void left_columns(const float* left, int64_t width, float* columns) {
  turn(left, width, kBlock, width, columns, kBlock);
}
void left_columns(const c10::BFloat16* left, int64_t width, c10::BFloat16* columns) {
  constexpr int64_t kPairs = 4;
  uint32_t room[kPairs * kBlock];
  for (int64_t first = 0; first < width / 2; first += kPairs) {
    turn(words(left) + first, width / 2, kBlock, kPairs, room, kBlock);
    in_vectors([&]() __attribute__((always_inline)) {
      for (int64_t pair = 0; pair < kPairs; ++pair) {
        const uint32_t* both = room + pair * kBlock;
        c10::BFloat16* out = columns + 2 * (first + pair) * kBlock;
#pragma omp simd
        for (int64_t r = 0; r < kBlock; ++r) out[r].x = static_cast<uint16_t>(both[r]);
#pragma omp simd
        for (int64_t r = 0; r < kBlock; ++r) out[kBlock + r].x = static_cast<uint16_t>(both[r] >> 16);
      }
    });
  }
}

const float* as_left(const float* s, int64_t stride, int64_t m, int64_t n, float*, float* sums) {
  if (sums != nullptr)
    for (int64_t r = 0; r < m; ++r) sums[r] = row_sum(s + r * stride, n);
  return s;
}
const c10::BFloat16* as_left(const float* s, int64_t stride, int64_t m, int64_t n, c10::BFloat16* room, float* sums) {
  in_vectors([&]() __attribute__((always_inline)) {
    for (int64_t r = 0; r < m; ++r) convert_row(s + r * stride, room + r * stride, n);
  });
  if (sums != nullptr)
    for (int64_t r = 0; r < m; ++r) sums[r] = row_sum(room + r * stride, n);
  return room;
}
const float* as_right(const float* s, int64_t, int64_t, int64_t, float*) { return s; }
const c10::BFloat16* as_right(const float* s, int64_t stride, int64_t m, int64_t n, c10::BFloat16* room) {
  in_vectors([&]() __attribute__((always_inline)) {
    for (int64_t r = 0; r < m; r += 2) {
      const float *low = s + r * stride, *high = low + stride;
      uint32_t* out = words(room) + r / 2 * stride;
#pragma omp simd
      for (int64_t i = 0; i < n; ++i) out[i] = bfloat16_bits(low[i]) >> 16 | bfloat16_bits(high[i]);
    }
  });
  return room;
}

template <typename To>
void write_rows(const float* sums, int64_t rows, int64_t width, To* y, int64_t stride) {
  in_vectors([&]() __attribute__((always_inline)) {
    for (int64_t r = 0; r < rows; ++r) convert_row(sums + r * width, y + r * stride, width);
  });
}
template void write_rows(const float*, int64_t, int64_t, float*, int64_t);
template void write_rows(const float*, int64_t, int64_t, c10::BFloat16*, int64_t);

template <typename To>
void write_means(float* sums, const float* totals, int64_t rows, int64_t width, To* y, int64_t stride) {
  for (int64_t r = 0; r < rows; ++r) row_scale(sums + r * width, width, totals[r] == 0.0f ? 0.0f : 1.0f / totals[r]);
  write_rows(sums, rows, width, y, stride);
}
template void write_means(float*, const float*, int64_t, int64_t, float*, int64_t);
template void write_means(float*, const float*, int64_t, int64_t, c10::BFloat16*, int64_t);

template <typename To>
void write_columns(const float* sums, int64_t rows, int64_t width, float* room, To* y, int64_t stride) {
  turn(sums, kBlock, width, kBlock, room, width);
  write_rows(room, rows, width, y, stride);
}
template void write_columns(const float*, int64_t, int64_t, float*, float*, int64_t);
template void write_columns(const float*, int64_t, int64_t, float*, c10::BFloat16*, int64_t);

}  // namespace morex::ops
