// Products of a few rows with a matrix, for decoding: they are bound by reading the matrix, which is read once for all
// rows. Sums are float32; an element's value does not depend on how many rows or threads there are, where b is finite.
#pragma once
#include <ATen/core/Tensor.h>
#include <c10/util/BFloat16.h>

#include <cstdint>

namespace morex::ops {

// Beyond, the libraries' products are faster.
inline constexpr int64_t kFewRows = 8;

// Whether few_rows_product takes them: a [T, K] with dense rows, T at most kFewRows, b [K, N] with dense rows or dense
// columns, y [T, N] with dense rows, all float32 or all bfloat16 on the CPU; b may be float32 where a and y are
// bfloat16.
bool few_rows_apply(const at::Tensor& y, const at::Tensor& a, const at::Tensor& b);

// y = a·b, or y += a·b, on all threads. bfloat16 is rounded once, at the end; a float32 b beside it is rounded to
// bfloat16 as it is read. Rows of b that only zeros of a meet are not read: what an expert that is not chosen would
// add. No autograd.
// Error: float32 K·eps of the accumulation.
void few_rows_product(const at::Tensor& y, const at::Tensor& a, const at::Tensor& b, bool accumulate);

// A float32 that counts as its value rounded to bfloat16.
struct RoundedFloat {
  float value;
};

// The same for one thread, T float, c10::BFloat16 or RoundedFloat. Rows of a matrix, `stride` elements apart.
template <typename T>
struct DenseRows {
  T* data;
  int64_t stride;
  T* row(int64_t i) const { return data + i * stride; }
};

// y[t][n] = Σ_k a[t][k]·w[n][k].
template <typename T>
void dot_rows(DenseRows<const float> a, int64_t rows, DenseRows<const T> w, int64_t n, int64_t k, DenseRows<float> y);
// y[t][n] = Σ_k a[t][k]·b[k][n].
template <typename T>
void mix_rows(DenseRows<const float> a, int64_t rows, DenseRows<const T> b, int64_t n, int64_t k, DenseRows<float> y);

}  // namespace morex::ops
