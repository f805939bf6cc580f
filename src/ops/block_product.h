// LibTorch's small-block product, and its operands. A left operand is row-major. A right one is row-major in float32;
// in bfloat16 rows 2i and 2i + 1 lie side by side, number by number.
#pragma once
#include <c10/core/ScalarType.h>
#include <c10/util/BFloat16.h>
#include <xmmintrin.h>

#include <cstdint>

namespace morex::ops {

// Whether the product exists here for operands of that type: bfloat16 wants a processor that multiplies it.
bool has_block_product(at::ScalarType type);

// c [m, n] (+)= a [m, k]·b [k, n], float32 sums; `b` a right operand with `ldb` numbers to a row; k even in bfloat16. A
// number of c depends on its row and column alone, not on m and n.
void block_product(int64_t m, int64_t n, int64_t k, const float* a, int64_t lda, const float* b, int64_t ldb, float* c,
                   int64_t ldc, bool add);
void block_product(int64_t m, int64_t n, int64_t k, const c10::BFloat16* a, int64_t lda, const c10::BFloat16* b,
                   int64_t ldb, float* c, int64_t ldc, bool add);
// To be called by a thread behind its last product.
void release_block_products(at::ScalarType type);

// The right operand [k, n] of rows [k, n], or of columns [n, k], `stride` apart. In bfloat16 k is even, and so is the
// stride of columns, which begin at a multiple of four bytes.
void right_of_rows(const float* rows, int64_t stride, int64_t k, int64_t n, float* right, int64_t ldb);
void right_of_rows(const c10::BFloat16* rows, int64_t stride, int64_t k, int64_t n, c10::BFloat16* right, int64_t ldb);
void right_of_columns(const float* columns, int64_t stride, int64_t k, int64_t n, float* right, int64_t ldb);
void right_of_columns(const c10::BFloat16* columns, int64_t stride, int64_t k, int64_t n, c10::BFloat16* right,
                      int64_t ldb);

// to [columns, rows] = from [rows, columns]ᵀ, words of four bytes.
template <typename Word>
void turn(const Word* from, int64_t from_stride, int64_t rows, int64_t columns, Word* to, int64_t to_stride) {
  static_assert(sizeof(Word) == sizeof(float));
  const int64_t whole_rows = rows / 4 * 4, whole_columns = columns / 4 * 4;
  for (int64_t j = 0; j < whole_columns; j += 4) {
    for (int64_t i = 0; i < whole_rows; i += 4) {
      const auto* in = reinterpret_cast<const float*>(from + i * from_stride + j);
      auto* out = reinterpret_cast<float*>(to + j * to_stride + i);
      __m128 a = _mm_loadu_ps(in), b = _mm_loadu_ps(in + from_stride);
      __m128 c = _mm_loadu_ps(in + 2 * from_stride), d = _mm_loadu_ps(in + 3 * from_stride);
      _MM_TRANSPOSE4_PS(a, b, c, d);
      _mm_storeu_ps(out, a);
      _mm_storeu_ps(out + to_stride, b);
      _mm_storeu_ps(out + 2 * to_stride, c);
      _mm_storeu_ps(out + 3 * to_stride, d);
    }
  }
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = i < whole_rows ? whole_columns : 0; j < columns; ++j)
      to[j * to_stride + i] = from[i * from_stride + j];
}

}  // namespace morex::ops
