// Loops compiled for the widest vectors that the processor has: one source, chosen when the program runs.
#pragma once
#include <c10/util/BFloat16.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <type_traits>

namespace morex::ops {

enum class VectorWidth { k128, k256, k512 };
VectorWidth vector_width();  // of this processor

namespace detail {

template <typename F>
[[gnu::target("avx512f,avx512bw,avx512dq,avx512vl,fma,prefer-vector-width=512")]] void run_512(const F& body) {
  body();
}
template <typename F>
[[gnu::target("avx2,fma")]] void run_256(const F& body) {
  body();
}

}  // namespace detail

// Runs body() in that width. What it calls takes part only where it is inlined: the body, and the functions with its
// loops, must be [[gnu::always_inline]]. A loop that sums up must stand in a function of its own, or GCC 12 leaves it
// scalar. Sums may be ordered, and products fused into them, as the width asks for.
template <typename F>
void in_vectors(const F& body) {
  switch (vector_width()) {
    case VectorWidth::k512:
      return detail::run_512(body);
    case VectorWidth::k256:
      return detail::run_256(body);
    case VectorWidth::k128:
      return body();
  }
}

// bfloat16 to float32 and back (ties to even; NaN stays NaN), in a form that vectorises; other types stay what they
// are.
[[gnu::always_inline]] inline float widen(c10::BFloat16 x) {
  return std::bit_cast<float>(static_cast<uint32_t>(x.x) << 16);
}
[[gnu::always_inline]] inline float widen(float x) { return x; }
[[gnu::always_inline]] inline double widen(double x) { return x; }

// The bits of x rounded to bfloat16, in the upper half of a word.
[[gnu::always_inline]] inline uint32_t bfloat16_bits(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  return x != x ? 0x7fc00000u : (bits + 0x7fffu + ((bits >> 16) & 1u)) & 0xffff0000u;
}

template <typename T, typename A>
[[gnu::always_inline]] inline T narrow(A x) {
  if constexpr (std::is_same_v<T, c10::BFloat16>) {
    T result;
    result.x = static_cast<uint16_t>(bfloat16_bits(x) >> 16);
    return result;
  } else {
    return static_cast<T>(x);
  }
}

// widen(narrow<T>(x)).
template <typename T, typename A>
[[gnu::always_inline]] inline A rounded(A x) {
  if constexpr (std::is_same_v<T, c10::BFloat16>) {
    return std::bit_cast<float>(bfloat16_bits(x));
  } else {
    return x;
  }
}

// y[i] = x[i] in y's type.
template <typename From, typename To>
[[gnu::always_inline]] inline void convert_row(const From* x, To* y, int64_t n) {
  if constexpr (std::is_same_v<From, To>) {
    std::copy_n(x, n, y);
  } else {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) y[i] = narrow<To>(widen(x[i]));
  }
}

// y[i] += x[i], rounded once.
template <typename From, typename To>
[[gnu::always_inline]] inline void add_row(const From* x, To* y, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) y[i] = narrow<To>(widen(y[i]) + widen(x[i]));
}

}  // namespace morex::ops
