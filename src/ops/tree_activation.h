// The non-linearities inside S'MoRE's trees and gate networks, as vector loops take them: each with its slope as a
// function of its value.
#pragma once
#include <cmath>

#include "base/error.h"
#include "ops/exponential.h"

namespace morex::ops {

enum class TreeActivation { kIdentity, kTanh, kRelu };

namespace detail {

struct Identity {
  template <typename T>
  [[gnu::always_inline]] T value(T x) const {
    return x;
  }
  template <typename T>
  [[gnu::always_inline]] T slope(T) const {
    return T(1);
  }
};
struct Tanh {
  [[gnu::always_inline]] float value(float x) const { return hyperbolic_tangent(x); }
  double value(double x) const { return std::tanh(x); }
  template <typename T>
  [[gnu::always_inline]] T slope(T y) const {
    return T(1) - y * y;
  }
};
struct Relu {
  template <typename T>
  [[gnu::always_inline]] T value(T x) const {
    return x > T(0) ? x : T(0);
  }
  template <typename T>
  [[gnu::always_inline]] T slope(T y) const {
    return y > T(0) ? T(1) : T(0);
  }
};

}  // namespace detail

// Calls f with the function of that name.
template <typename F>
void with_activation(TreeActivation activation, const F& f) {
  switch (activation) {
    case TreeActivation::kIdentity:
      return f(detail::Identity{});
    case TreeActivation::kTanh:
      return f(detail::Tanh{});
    case TreeActivation::kRelu:
      return f(detail::Relu{});
  }
  MOREX_ASSERT(false);
}

}  // namespace morex::ops
