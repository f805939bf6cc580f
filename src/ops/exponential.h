// The exponential function and the hyperbolic tangent in a form that vectorises.
#pragma once
#include <bit>
#include <cmath>
#include <cstdint>

namespace morex::ops {

// exp(x) by x = n·ln 2 + f, |f| <= ln 2 / 2, and a polynomial in f (minimax coefficients, relative error 2e-7). 0 below
// exp(-87), exp(88) above; NaN stays NaN.
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

inline double exponential(double x) { return std::exp(x); }

// tanh(x): an odd polynomial below 0.625 (minimax coefficients), 1 - 2/(exp(2|x|) + 1) above. Relative error 4e-7.
[[gnu::always_inline]] inline float hyperbolic_tangent(float x) {
  const float size = x < 0.0f ? -x : x, square = x * x;
  float p = -5.70498872745e-3f;
  p = p * square + 2.06390887954e-2f;
  p = p * square - 5.37397155531e-2f;
  p = p * square + 1.33314422036e-1f;
  p = p * square - 3.33332819422e-1f;
  const float near = x + x * square * p;
  const float far = 1.0f - 2.0f / (exponential(2.0f * size) + 1.0f);
  return size < 0.625f ? near : (x < 0.0f ? -far : far);
}

}  // namespace morex::ops
