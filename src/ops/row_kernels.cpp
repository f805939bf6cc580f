#include "ops/row_kernels.h"

#include <limits>

#include "ops/exponential.h"
#include "ops/vector_loops.h"

namespace morex::ops {
namespace {

[[gnu::always_inline]] inline float max_of(const float* x, int64_t n) {
  float top = -std::numeric_limits<float>::infinity();
#pragma omp simd reduction(max : top)
  for (int64_t i = 0; i < n; ++i) top = x[i] > top ? x[i] : top;
  return top;
}

[[gnu::always_inline]] inline float exp_of(float* x, int64_t n, float scale, float shift) {
  float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) {
    const float e = exponential(scale * x[i] - shift);
    x[i] = e;
    sum += e;
  }
  return sum;
}

}  // namespace

float row_max(const float* x, int64_t n) {
  float top = 0.0f;
  in_vectors([&]() __attribute__((always_inline)) { top = max_of(x, n); });
  return top;
}

float row_exp(float* x, int64_t n, float scale, float shift) {
  float sum = 0.0f;
  in_vectors([&]() __attribute__((always_inline)) { sum = exp_of(x, n, scale, shift); });
  return sum;
}

void row_scale(float* x, int64_t n, float factor) {
  in_vectors([&]() __attribute__((always_inline)) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) x[i] *= factor;
  });
}

void row_softmax_backward(const float* p, float* dp, int64_t n, float delta, float scale) {
  in_vectors([&]() __attribute__((always_inline)) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) dp[i] = p[i] * (dp[i] - delta) * scale;
  });
}

}  // namespace morex::ops
