#include "ops/block_product.h"

#include <immintrin.h>

#include <algorithm>

#include "base/error.h"
#include "base/system.h"
#include "ops/brgemm.h"
#include "ops/vector_loops.h"

namespace morex::ops {
namespace {

template <typename T>
void product(int64_t m, int64_t n, int64_t k, const T* a, int64_t lda, const T* b, int64_t ldb, float* c, int64_t ldc,
             bool add, bool vnni) {
#ifdef MOREX_HAS_BRGEMM
  at::native::cpublas::brgemm(m, n, k, lda, ldb, ldc, add, a, b, c, vnni);
#else
  (void)m, (void)n, (void)k, (void)a, (void)lda, (void)b, (void)ldb, (void)c, (void)ldc, (void)add, (void)vnni;
  MOREX_ASSERT(false);
#endif
}

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl")

// Four columns of sixteen rows, `stride` words apart, as four rows of sixteen.
void turn_16_by_4(const uint32_t* from, int64_t stride, uint32_t* to, int64_t to_stride) {
  constexpr __mmask16 kAll = 0xffff;
  constexpr __mmask8 kPairs = 0xff;
  const auto four = [&](int64_t row) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + row * stride)); };
  // Rows r, r + 4, r + 8, r + 12 side by side.
  const auto rows = [&](int64_t r) {
    __m512i x = _mm512_castsi128_si512(four(r));
    x = _mm512_inserti32x4(x, four(r + 4), 1);
    x = _mm512_inserti32x4(x, four(r + 8), 2);
    return _mm512_inserti32x4(x, four(r + 12), 3);
  };
  const __m512i a = rows(0), b = rows(1), c = rows(2), d = rows(3);
  // With all lanes in a mask: without one, GCC 12 warns of its own header.
  const __m512i ab_low = _mm512_maskz_unpacklo_epi32(kAll, a, b), ab_high = _mm512_maskz_unpackhi_epi32(kAll, a, b);
  const __m512i cd_low = _mm512_maskz_unpacklo_epi32(kAll, c, d), cd_high = _mm512_maskz_unpackhi_epi32(kAll, c, d);
  _mm512_storeu_si512(to, _mm512_maskz_unpacklo_epi64(kPairs, ab_low, cd_low));
  _mm512_storeu_si512(to + to_stride, _mm512_maskz_unpackhi_epi64(kPairs, ab_low, cd_low));
  _mm512_storeu_si512(to + 2 * to_stride, _mm512_maskz_unpacklo_epi64(kPairs, ab_high, cd_high));
  _mm512_storeu_si512(to + 3 * to_stride, _mm512_maskz_unpackhi_epi64(kPairs, ab_high, cd_high));
}

#pragma GCC pop_options

// turn(), sixteen rows at a time where the processor can and they are whole.
void turn_words(const uint32_t* from, int64_t stride, int64_t rows, int64_t columns, uint32_t* to, int64_t to_stride) {
  if (vector_width() != VectorWidth::k512 || rows % 16 != 0 || columns % 4 != 0)
    return turn(from, stride, rows, columns, to, to_stride);
  for (int64_t i = 0; i < rows; i += 16)
    for (int64_t j = 0; j < columns; j += 4)
      turn_16_by_4(from + i * stride + j, stride, to + j * to_stride + i, to_stride);
}

const uint32_t* words(const void* x) { return static_cast<const uint32_t*>(x); }
uint32_t* words(void* x) { return static_cast<uint32_t*>(x); }

// Asks for the row that is read so many later: rows lie too far apart for the processor's own guess.
template <typename T>
[[gnu::always_inline]] inline void prefetch_row(const T* row, int64_t stride, int64_t n) {
  constexpr int64_t kRowsAhead = 16, kLine = 64 / sizeof(T);
  for (int64_t i = 0; i < n; i += kLine) _mm_prefetch(row + kRowsAhead * stride + i, _MM_HINT_T0);
}

}  // namespace

bool has_block_product(at::ScalarType type) {
#ifdef MOREX_HAS_BRGEMM
  static const bool has_bfloat16 = cpu_features().avx512_bf16;
  return type == at::kFloat || (type == at::kBFloat16 && has_bfloat16);
#else
  (void)type;
  return false;
#endif
}

void block_product(int64_t m, int64_t n, int64_t k, const float* a, int64_t lda, const float* b, int64_t ldb, float* c,
                   int64_t ldc, bool add) {
  product(m, n, k, a, lda, b, ldb, c, ldc, add, false);
}

void block_product(int64_t m, int64_t n, int64_t k, const c10::BFloat16* a, int64_t lda, const c10::BFloat16* b,
                   int64_t ldb, float* c, int64_t ldc, bool add) {
  product(m, n, k, a, lda, b, ldb, c, ldc, add, true);
}

void release_block_products(at::ScalarType type) {
#ifdef MOREX_HAS_BRGEMM
  at::native::cpublas::brgemm_release(type == at::kBFloat16);
#else
  (void)type;
#endif
}

void right_of_rows(const float* rows, int64_t stride, int64_t k, int64_t n, float* right, int64_t ldb) {
  for (int64_t r = 0; r < k; ++r) {
    prefetch_row(rows + r * stride, stride, n);
    std::copy_n(rows + r * stride, n, right + r * ldb);
  }
}

void right_of_rows(const c10::BFloat16* rows, int64_t stride, int64_t k, int64_t n, c10::BFloat16* right, int64_t ldb) {
  in_vectors([&]() __attribute__((always_inline)) {
    for (int64_t r = 0; r < k; r += 2) {
      const c10::BFloat16 *low = rows + r * stride, *high = low + stride;
      auto* out = reinterpret_cast<uint32_t*>(right) + r / 2 * ldb;
      prefetch_row(low, stride, n);
      prefetch_row(high, stride, n);
#pragma omp simd
      for (int64_t i = 0; i < n; ++i) out[i] = low[i].x | static_cast<uint32_t>(high[i].x) << 16;
    }
  });
}

void right_of_columns(const float* columns, int64_t stride, int64_t k, int64_t n, float* right, int64_t ldb) {
  turn_words(words(columns), stride, n, k, words(right), ldb);
}

void right_of_columns(const c10::BFloat16* columns, int64_t stride, int64_t k, int64_t n, c10::BFloat16* right,
                      int64_t ldb) {
  turn_words(words(columns), stride / 2, n, k / 2, words(right), ldb);
}

}  // namespace morex::ops
