// The softmax of short rows, for the loops of operations.
#pragma once
#include <cstdint>

#include "ops/exponential.h"

namespace morex::ops {

template <typename T>
[[gnu::always_inline]] inline void exponentials(T* values, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) values[i] = exponential(values[i]);
}

// out [rows, experts] = softmax of each row of logits, `stride` elements apart. Rows are short: only the exponentials,
// of all rows in a line, are worth vectors.
template <typename T>
[[gnu::always_inline]] inline void softmax_rows(const T* logits, int64_t stride, int64_t rows, int64_t experts,
                                                T* out) {
  for (int64_t t = 0; t < rows; ++t) {
    const T* row = logits + t * stride;
    T highest = row[0];
    for (int64_t e = 1; e < experts; ++e) highest = row[e] > highest ? row[e] : highest;
    for (int64_t e = 0; e < experts; ++e) out[t * experts + e] = row[e] - highest;
  }
  exponentials(out, rows * experts);
  for (int64_t t = 0; t < rows; ++t) {
    T* row = out + t * experts;
    T sum = 0;
    for (int64_t e = 0; e < experts; ++e) sum += row[e];
    const T factor = T(1) / sum;
    for (int64_t e = 0; e < experts; ++e) row[e] *= factor;
  }
}

}  // namespace morex::ops
