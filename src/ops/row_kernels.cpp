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

template <typename T>
[[gnu::always_inline]] inline float sum_of(const T* x, int64_t n) {
  float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) sum += widen(x[i]);
  return sum;
}

template <typename T>
float sum(const T* x, int64_t n) {
  float sum = 0.0f;
  in_vectors([&]() __attribute__((always_inline)) { sum = sum_of(x, n); });
  return sum;
}

template <typename T>
[[gnu::always_inline]] inline float dot_of(const T* a, const T* b, int64_t n) {
  float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) sum += widen(a[i]) * widen(b[i]);
  return sum;
}

template <typename T>
float dot(const T* a, const T* b, int64_t n) {
  float sum = 0.0f;
  in_vectors([&]() __attribute__((always_inline)) { sum = dot_of(a, b, n); });
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

float row_sum(const float* x, int64_t n) { return sum(x, n); }
float row_sum(const c10::BFloat16* x, int64_t n) { return sum(x, n); }

float row_dot(const float* a, const float* b, int64_t n) { return dot(a, b, n); }
float row_dot(const c10::BFloat16* a, const c10::BFloat16* b, int64_t n) { return dot(a, b, n); }

}  // namespace morex::ops
