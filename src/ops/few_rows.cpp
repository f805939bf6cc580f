#include "ops/few_rows.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstring>
#include <type_traits>
#include <vector>

#include "base/error.h"
#include "ops/vector_loops.h"

namespace morex::ops {
namespace {

// Rows of the left operand, rows of the matrix whose dot products are held in registers, and rows of it that are added
// to the sums in the cache, at a time.
constexpr int64_t kRowsAtOnce = 4, kDotsAtOnce = 4;
constexpr int kTermsAtOnce = 8;
// Prefetched ahead of the matrix being read: rows of a few KiB are too short for the processor's own guess.
constexpr int64_t kAheadBytes = 4096;
// The part of a matrix that is worth another thread.
constexpr int64_t kBytesPerThread = int64_t{1} << 18;
// Columns that a task of `mix_rows` owns: whole cache lines.
constexpr int64_t kColumnsPerTask = 256;

template <int kBytes>
using Lanes [[gnu::vector_size(kBytes)]] = float;
template <int kBytes>
using Words [[gnu::vector_size(kBytes)]] = uint32_t;
template <int kBytes>
using Halves [[gnu::vector_size(kBytes / 2)]] = uint16_t;
template <int kBytes>
constexpr int64_t kLanes = kBytes / 4;

template <int kBytes>
[[gnu::always_inline]] inline void load(const float* p, Lanes<kBytes>& v) {
  std::memcpy(&v, p, kBytes);
}
template <int kBytes>
[[gnu::always_inline]] inline void load(const c10::BFloat16* p, Lanes<kBytes>& v) {
  Halves<kBytes> bits;
  std::memcpy(&bits, p, kBytes / 2);
  const Words<kBytes> words = __builtin_convertvector(bits, Words<kBytes>) << 16;
  std::memcpy(&v, &words, kBytes);
}

template <int kBytes>
[[gnu::always_inline]] inline void load(const RoundedFloat* p, Lanes<kBytes>& v) {
  Words<kBytes> bits;
  std::memcpy(&v, p, kBytes);
  std::memcpy(&bits, p, kBytes);
  bits = (bits + 0x7fffu + ((bits >> 16) & 1u)) & 0xffff0000u;
  bits = v != v ? Words<kBytes>{} + 0x7fc00000u : bits;
  std::memcpy(&v, &bits, kBytes);
}

[[gnu::always_inline]] inline float widen(RoundedFloat x) { return rounded<c10::BFloat16>(x.value); }
using ops::widen;

template <int kBytes>
[[gnu::always_inline]] inline float total(const Lanes<kBytes>& v) {
  if constexpr (kBytes == 16) {
    return (v[0] + v[2]) + (v[1] + v[3]);
  } else {
    Lanes<kBytes / 2> low, high;
    std::memcpy(&low, &v, kBytes / 2);
    std::memcpy(&high, reinterpret_cast<const char*>(&v) + kBytes / 2, kBytes / 2);
    low += high;
    return total<kBytes / 2>(low);
  }
}

// The dot products of kRows rows of a with kDots rows of w.
template <int kBytes, int kRows, int kDots, typename T>
[[gnu::always_inline]] inline void dot_block(const DenseRows<const float>& a, const DenseRows<const T>& w, int64_t k,
                                             const DenseRows<float>& y) {
  Lanes<kBytes> sums[kRows][kDots] = {};
  int64_t i = 0;
  for (; i + kLanes<kBytes> <= k; i += kLanes<kBytes>) {
    Lanes<kBytes> ws[kDots];
#pragma GCC unroll 4
    for (int d = 0; d < kDots; ++d) {
      const T* p = w.row(d) + i;
      load<kBytes>(p, ws[d]);
      __builtin_prefetch(reinterpret_cast<const char*>(p) + kAheadBytes);
    }
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      Lanes<kBytes> as;
      load<kBytes>(a.row(r) + i, as);
#pragma GCC unroll 4
      for (int d = 0; d < kDots; ++d) sums[r][d] += as * ws[d];
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int d = 0; d < kDots; ++d) {
      float sum = total<kBytes>(sums[r][d]);
      for (int64_t j = i; j < k; ++j) sum += a.row(r)[j] * widen(w.row(d)[j]);
      y.row(r)[d] = sum;
    }
  }
}

// Whether some row of a has a number other than zero in column i.
template <int kRows>
[[gnu::always_inline]] inline bool any_in_column(const DenseRows<const float>& a, int64_t i) {
  bool any = false;
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) any |= a.row(r)[i] != 0.0f;
  return any;
}

// Some rows of b, and what each of kRows rows of a has for them.
template <int kRows, typename T>
struct Terms {
  const T* b[kTermsAtOnce];
  float a[kRows][kTermsAtOnce];
  int count = 0;

  [[gnu::always_inline]] void add(const DenseRows<const float>& from, const DenseRows<const T>& rows, int64_t i) {
    b[count] = rows.row(i);
    for (int r = 0; r < kRows; ++r) a[r][count] = from.row(r)[i];
    ++count;
  }
};

// y += or, where the sum begins, y = the sum of kTerms terms from `first` on, of kRows rows and n columns, one term
// after another. Meanwhile the rows of `next`, as many, are asked for.
template <int kBytes, int kRows, int kTerms, bool begins, typename T>
[[gnu::always_inline]] inline void add_terms(const Terms<kRows, T>& terms, int first, const T* const* next, int64_t n,
                                             const DenseRows<float>& y) {
  int64_t j = 0;
  for (; j + kLanes<kBytes> <= n; j += kLanes<kBytes>) {
    Lanes<kBytes> sums[kRows];
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      sums[r] = Lanes<kBytes>{};
      if constexpr (!begins) load<kBytes>(y.row(r) + j, sums[r]);
    }
#pragma GCC unroll 8
    for (int i = 0; i < kTerms; ++i) {
      Lanes<kBytes> bs;
      load<kBytes>(terms.b[first + i] + j, bs);
      __builtin_prefetch(next[i] + j);
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) sums[r] += terms.a[r][first + i] * bs;
    }
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) std::memcpy(y.row(r) + j, &sums[r], kBytes);
  }
  for (; j < n; ++j) {
    for (int r = 0; r < kRows; ++r) {
      float sum = begins ? 0 : y.row(r)[j];
      for (int i = 0; i < kTerms; ++i) sum += terms.a[r][first + i] * widen(terms.b[first + i][j]);
      y.row(r)[j] = sum;
    }
  }
}

// Rows of b from row to row, so that memory is read in its order; the sums stay in the cache.
template <int kBytes, int kRows, bool kSkips, typename T>
[[gnu::always_inline]] inline void mix_columns(const DenseRows<const float>& a, const DenseRows<const T>& b, int64_t n,
                                               int64_t k, const DenseRows<float>& y) {
  bool begins = true;
  const auto add = [&](auto count, const Terms<kRows, T>& terms, int first, const T* const* next)
      __attribute__((always_inline)) {
    constexpr int kTerms = decltype(count)::value;
    begins ? add_terms<kBytes, kRows, kTerms, true, T>(terms, first, next, n, y)
           : add_terms<kBytes, kRows, kTerms, false, T>(terms, first, next, n, y);
    begins = false;
  };
  using Full = std::integral_constant<int, kTermsAtOnce>;
  Terms<kRows, T> terms, next;  // full, or empty; being filled
  for (int64_t i = 0; i < k; ++i) {
    if (kSkips && !any_in_column<kRows>(a, i)) continue;
    next.add(a, b, i);
    if (next.count < kTermsAtOnce) continue;
    if (terms.count > 0) add(Full(), terms, 0, next.b);
    terms = next;
    next.count = 0;
  }
  if (terms.count > 0) add(Full(), terms, 0, terms.b);
  int first = 0;
  for (; first + 4 <= next.count; first += 4) add(std::integral_constant<int, 4>(), next, first, next.b + first);
  for (; first < next.count; ++first) add(std::integral_constant<int, 1>(), next, first, next.b + first);
  if (!begins) return;
  for (int r = 0; r < kRows; ++r) std::fill_n(y.row(r), n, 0.0f);
}

// Calls body(number of rows, first row) for groups of at most kRowsAtOnce rows, the number as a constant.
template <typename F>
[[gnu::always_inline]] inline void in_row_groups(int64_t rows, const F& body) {
  int64_t first = 0;
  for (; first + kRowsAtOnce <= rows; first += kRowsAtOnce) body(std::integral_constant<int, kRowsAtOnce>{}, first);
  switch (rows - first) {
    case 3:
      return body(std::integral_constant<int, 3>{}, first);
    case 2:
      return body(std::integral_constant<int, 2>{}, first);
    case 1:
      return body(std::integral_constant<int, 1>{}, first);
  }
}

// Calls body(bytes of a vector) compiled for this processor.
template <typename F>
void in_lanes(const F& body) {
  switch (vector_width()) {
    case VectorWidth::k512:
      return detail::run_512([&]() __attribute__((always_inline)) { body(std::integral_constant<int, 64>{}); });
    case VectorWidth::k256:
      return detail::run_256([&]() __attribute__((always_inline)) { body(std::integral_constant<int, 32>{}); });
    case VectorWidth::k128:
      return body(std::integral_constant<int, 16>{});
  }
}

template <bool kSkips, typename T>
void mix_rows_of(DenseRows<const float> a, int64_t rows, DenseRows<const T> b, int64_t n, int64_t k,
                 DenseRows<float> y) {
  in_lanes([&](auto bytes) __attribute__((always_inline)) {
    in_row_groups(
        rows, [&](auto group, int64_t row) __attribute__((always_inline)) {
          mix_columns<decltype(bytes)::value, decltype(group)::value, kSkips, T>({a.row(row), a.stride}, b, n, k,
                                                                                 {y.row(row), y.stride});
        });
  });
}

// y = sums, or y += sums.
template <typename T>
void store_row(const float* sums, T* y, int64_t n, bool accumulate) {
  in_vectors([&]() __attribute__((always_inline)) {
    if (accumulate) {
      add_row(sums, y, n);
    } else {
      convert_row(sums, y, n);
    }
  });
}

// Calls f(begin, end) for parts of n columns of the product, in multiples of `unit`, on as many threads as the size of
// the matrix is worth.
template <typename F>
void for_columns(int64_t n, int64_t unit, int64_t bytes_per_column, const F& f) {
  const int64_t grain = std::max<int64_t>(1, kBytesPerThread / (unit * bytes_per_column));
  at::parallel_for(0, (n + unit - 1) / unit, grain,
                   [&](int64_t begin, int64_t end) { f(begin * unit, std::min(n, end * unit)); });
}

// T: of y and a; W: of b.
template <typename T, typename W>
void product_of(const at::Tensor& y, const at::Tensor& a, const at::Tensor& b, bool accumulate) {
  const int64_t rows = a.size(0), k = a.size(1), n = b.size(1);
  const bool by_columns = b.stride(0) == 1;  // a weight [N, K], transposed
  std::vector<float> wide_a;
  DenseRows<const float> left{nullptr, k};
  if constexpr (std::is_same_v<T, float>) {
    left = {a.const_data_ptr<float>(), a.stride(0)};
  } else {
    wide_a.resize(static_cast<size_t>(rows * k));
    for (int64_t r = 0; r < rows; ++r) convert_row(a.const_data_ptr<T>() + r * a.stride(0), wide_a.data() + r * k, k);
    left.data = wide_a.data();
  }
  const DenseRows<const W> right{static_cast<const W*>(b.const_data_ptr()), b.stride(by_columns ? 1 : 0)};
  const DenseRows<T> out{y.mutable_data_ptr<T>(), y.stride(0)};
  for_columns(n, by_columns ? kDotsAtOnce : kColumnsPerTask, k * b.element_size(), [&](int64_t begin, int64_t end) {
    const int64_t width = end - begin;
    const auto multiply = [&](const DenseRows<float>& target) {
      if (by_columns) {
        dot_rows<W>(left, rows, {right.row(begin), right.stride}, width, k, target);
      } else {
        mix_rows_of<true, W>(left, rows, {right.data + begin, right.stride}, width, k, target);
      }
    };
    if constexpr (std::is_same_v<T, float>) {
      if (!accumulate) return multiply({out.data + begin, out.stride});
    }
    std::vector<float> sums(static_cast<size_t>(rows * width));
    multiply({sums.data(), width});
    for (int64_t r = 0; r < rows; ++r) store_row(sums.data() + r * width, out.row(r) + begin, width, accumulate);
  });
}

bool handled(const at::Tensor& t, at::ScalarType type) { return t.is_cpu() && t.scalar_type() == type; }

}  // namespace

template <typename T>
void dot_rows(DenseRows<const float> a, int64_t rows, DenseRows<const T> w, int64_t n, int64_t k, DenseRows<float> y) {
  in_lanes([&](auto bytes) __attribute__((always_inline)) {
    const auto dots = [&](auto count, int64_t first) __attribute__((always_inline)) {
      // The first group of rows brings the block into the cache for the others.
      in_row_groups(
          rows, [&](auto group, int64_t row) __attribute__((always_inline)) {
            dot_block<decltype(bytes)::value, decltype(group)::value, decltype(count)::value, T>(
                {a.row(row), a.stride}, {w.row(first), w.stride}, k, {y.row(row) + first, y.stride});
          });
    };
    int64_t i = 0;
    for (; i + kDotsAtOnce <= n; i += kDotsAtOnce) dots(std::integral_constant<int, kDotsAtOnce>{}, i);
    for (; i < n; ++i) dots(std::integral_constant<int, 1>{}, i);
  });
}

template <typename T>
void mix_rows(DenseRows<const float> a, int64_t rows, DenseRows<const T> b, int64_t n, int64_t k, DenseRows<float> y) {
  mix_rows_of<false, T>(a, rows, b, n, k, y);
}

template void dot_rows(DenseRows<const float>, int64_t, DenseRows<const float>, int64_t, int64_t, DenseRows<float>);
template void dot_rows(DenseRows<const float>, int64_t, DenseRows<const c10::BFloat16>, int64_t, int64_t,
                       DenseRows<float>);
template void dot_rows(DenseRows<const float>, int64_t, DenseRows<const RoundedFloat>, int64_t, int64_t,
                       DenseRows<float>);
template void mix_rows(DenseRows<const float>, int64_t, DenseRows<const float>, int64_t, int64_t, DenseRows<float>);
template void mix_rows(DenseRows<const float>, int64_t, DenseRows<const c10::BFloat16>, int64_t, int64_t,
                       DenseRows<float>);

bool few_rows_apply(const at::Tensor& y, const at::Tensor& a, const at::Tensor& b) {
  const at::ScalarType type = a.scalar_type();
  const bool handled_b = handled(b, type) || handled(b, at::kFloat);
  return (type == at::kFloat || type == at::kBFloat16) && handled(a, type) && handled_b && handled(y, type) &&
         a.size(0) <= kFewRows && a.stride(1) == 1 && y.stride(1) == 1 && (b.stride(0) == 1 || b.stride(1) == 1);
}

void few_rows_product(const at::Tensor& y, const at::Tensor& a, const at::Tensor& b, bool accumulate) {
  MOREX_ASSERT(few_rows_apply(y, a, b) && a.size(1) == b.size(0) && y.size(0) == a.size(0) && y.size(1) == b.size(1));
  if (a.scalar_type() == at::kFloat) {
    product_of<float, float>(y, a, b, accumulate);
  } else if (b.scalar_type() == at::kFloat) {
    product_of<c10::BFloat16, RoundedFloat>(y, a, b, accumulate);
  } else {
    product_of<c10::BFloat16, c10::BFloat16>(y, a, b, accumulate);
  }
}

}  // namespace morex::ops
