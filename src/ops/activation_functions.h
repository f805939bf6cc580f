// The non-linearities element by element, for loops: value and slope together, SiLU in float32 so that it vectorises.
#pragma once
#include <cmath>
#include <numbers>

#include "base/error.h"
#include "ops/activation.h"
#include "ops/exponential.h"

namespace morex::ops {

// act(x) and act'(x).
template <typename A>
struct ValueSlope {
  A value, slope;
};

struct SiluFunction {
  [[gnu::always_inline]] ValueSlope<float> operator()(float x) const {
    const float s = 1.0f / (1.0f + exponential(-x));
    return {x * s, s + x * s * (1.0f - s)};
  }
  ValueSlope<double> operator()(double x) const {
    const double s = 1.0 / (1.0 + std::exp(-x));
    return {x * s, s + x * s * (1.0 - s)};
  }
};

struct GeluFunction {
  template <typename A>
  ValueSlope<A> operator()(A x) const {
    const A below = A(0.5) * (A(1) + std::erf(x * A(std::numbers::sqrt2 / 2)));
    return {x * below, below + x * std::exp(A(-0.5) * x * x) * A(std::numbers::inv_sqrtpi / std::numbers::sqrt2)};
  }
};

struct GeluTanhFunction {
  template <typename A>
  ValueSlope<A> operator()(A x) const {
    constexpr A kInner = A(std::numbers::sqrt2 * std::numbers::inv_sqrtpi), kCubic = A(0.044715);
    const A t = std::tanh(kInner * (x + kCubic * x * x * x));
    return {A(0.5) * x * (A(1) + t),
            A(0.5) * (A(1) + t) + A(0.5) * x * (A(1) - t * t) * kInner * (A(1) + A(3) * kCubic * x * x)};
  }
};

struct ReluFunction {
  template <typename A>
  [[gnu::always_inline]] ValueSlope<A> operator()(A x) const {
    return {x > A(0) ? x : A(0), x > A(0) ? A(1) : A(0)};
  }
};

// Calls f(function) with the function of `activation`.
template <typename F>
void with_activation(Activation activation, const F& f) {
  switch (activation) {
    case Activation::kSilu:
      return f(SiluFunction{});
    case Activation::kGelu:
      return f(GeluFunction{});
    case Activation::kGeluTanh:
      return f(GeluTanhFunction{});
    case Activation::kRelu:
      return f(ReluFunction{});
  }
  MOREX_ASSERT(false);
}

}  // namespace morex::ops
