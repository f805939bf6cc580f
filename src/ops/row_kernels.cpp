#include "ops/row_kernels.h"

#include <bit>
#include <limits>

#include "base/system.h"

namespace morex::ops {
namespace {

// exp(x) by x = n·ln 2 + f, |f| <= ln 2 / 2, and a polynomial in f (minimax coefficients, relative error 2e-7).
[[gnu::always_inline]] inline float exponential(float x) {
  constexpr float kRounder = 12582912.0f;  // 1.5·2²³: adding it rounds to an integer
  constexpr float kLowest = -87.0f, kHighest = 88.0f;
  const float clamped = x < kLowest ? kLowest : (x > kHighest ? kHighest : x);
  const float shifted = clamped * 1.44269504f + kRounder;
  const float n = shifted - kRounder;
  const float f = (clamped - n * 0.693359375f) + n * 2.12194440e-4f;  // ln 2 in two parts
  float p = 1.9875691500e-4f;
  p = p * f + 1.3981999507e-3f;
  p = p * f + 8.3334519073e-3f;
  p = p * f + 4.1665795894e-2f;
  p = p * f + 1.6666665459e-1f;
  p = p * f + 5.0000001201e-1f;
  p = p * f * f + f + 1.0f;
  const int32_t exponent = std::bit_cast<int32_t>(shifted) - std::bit_cast<int32_t>(kRounder) + 127;
  const float power = std::bit_cast<float>(exponent << 23);
  return x < kLowest ? 0.0f : p * power;
}

[[gnu::always_inline]] inline float max_body(const float* x, int64_t n) {
  float top = -std::numeric_limits<float>::infinity();
#pragma omp simd reduction(max : top)
  for (int64_t i = 0; i < n; ++i) top = x[i] > top ? x[i] : top;
  return top;
}

[[gnu::always_inline]] inline float exp_body(float* x, int64_t n, float scale, float shift) {
  float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) {
    const float e = exponential(scale * x[i] - shift);
    x[i] = e;
    sum += e;
  }
  return sum;
}

[[gnu::always_inline]] inline void scale_body(float* x, int64_t n, float factor) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) x[i] *= factor;
}

[[gnu::always_inline]] inline void softmax_backward_body(const float* p, float* dp, int64_t n, float delta,
                                                         float scale) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) dp[i] = p[i] * (dp[i] - delta) * scale;
}

[[gnu::target("avx512f,fma,prefer-vector-width=512")]] float max_512(const float* x, int64_t n) {
  return max_body(x, n);
}
[[gnu::target("avx512f,fma,prefer-vector-width=512")]] float exp_512(float* x, int64_t n, float a, float b) {
  return exp_body(x, n, a, b);
}
[[gnu::target("avx512f,fma,prefer-vector-width=512")]] void scale_512(float* x, int64_t n, float f) {
  scale_body(x, n, f);
}
[[gnu::target("avx512f,fma,prefer-vector-width=512")]] void softmax_backward_512(const float* p, float* dp, int64_t n,
                                                                                 float d, float s) {
  softmax_backward_body(p, dp, n, d, s);
}
[[gnu::target("avx2,fma")]] float max_256(const float* x, int64_t n) { return max_body(x, n); }
[[gnu::target("avx2,fma")]] float exp_256(float* x, int64_t n, float a, float b) { return exp_body(x, n, a, b); }
[[gnu::target("avx2,fma")]] void scale_256(float* x, int64_t n, float f) { scale_body(x, n, f); }
[[gnu::target("avx2,fma")]] void softmax_backward_256(const float* p, float* dp, int64_t n, float d, float s) {
  softmax_backward_body(p, dp, n, d, s);
}
float max_128(const float* x, int64_t n) { return max_body(x, n); }
float exp_128(float* x, int64_t n, float a, float b) { return exp_body(x, n, a, b); }
void scale_128(float* x, int64_t n, float f) { scale_body(x, n, f); }
void softmax_backward_128(const float* p, float* dp, int64_t n, float d, float s) {
  softmax_backward_body(p, dp, n, d, s);
}

struct Kernels {
  float (*max)(const float*, int64_t);
  float (*exp)(float*, int64_t, float, float);
  void (*scale)(float*, int64_t, float);
  void (*softmax_backward)(const float*, float*, int64_t, float, float);
};

const Kernels& kernels() {
  static const Kernels chosen = [] {
    const CpuFeatures cpu = cpu_features();
    if (cpu.avx512f) return Kernels{max_512, exp_512, scale_512, softmax_backward_512};
    if (cpu.avx2) return Kernels{max_256, exp_256, scale_256, softmax_backward_256};
    return Kernels{max_128, exp_128, scale_128, softmax_backward_128};
  }();
  return chosen;
}

}  // namespace

float row_max(const float* x, int64_t n) { return kernels().max(x, n); }

float row_exp(float* x, int64_t n, float scale, float shift) { return kernels().exp(x, n, scale, shift); }

void row_scale(float* x, int64_t n, float factor) { kernels().scale(x, n, factor); }

void row_softmax_backward(const float* p, float* dp, int64_t n, float delta, float scale) {
  kernels().softmax_backward(p, dp, n, delta, scale);
}

}  // namespace morex::ops
