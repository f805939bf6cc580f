#include "ops/skinny_products.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <immintrin.h>

#include <algorithm>
#include <memory>
#include <type_traits>

#include "base/error.h"
#include "base/system.h"
#include "ops/chunks.h"
#include "ops/dense_rows.h"
#include "ops/few_rows.h"

namespace morex::ops {
namespace {

// A matrix of bfloat16 as its bits, and one of pairs of them.
using Bits = DenseRows<const uint16_t>;
using Pairs = DenseRows<const uint32_t>;

// What one task does of each form.
constexpr int64_t kRowsPerTask = 32, kColumnsPerTask = 64;
constexpr int kRanksAtOnce = 8;
// Rows ahead of the one being read: they lie too far apart for the processor's own guess.
constexpr int64_t kRowsAhead = 32;

// Calls f(std::integral_constant<int, n>()) for a count 1 ≤ n ≤ kMost.
template <int kMost, typename F>
void with_count(int64_t n, const F& f) {
  if constexpr (kMost > 1) {
    if (n < kMost) return with_count<kMost - 1>(n, f);
  }
  f(std::integral_constant<int, kMost>());
}

// Rows 2p and 2p + 1 of b [K, N] side by side: [(K + 1) / 2, N] numbers with the first in the lower half; a row behind
// the last is zero.
at::Tensor paired_rows(const Bits& b, int64_t k, int64_t n) {
  const int64_t pairs = (k + 1) / 2;
  const at::Tensor paired = at::empty({pairs, n}, at::TensorOptions(at::kInt));
  auto* to = static_cast<uint32_t*>(paired.mutable_data_ptr());
  for_chunks(pairs, rows_per_chunk(2 * n), [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      const uint16_t* low = b.row(2 * p);
      uint32_t* out = to + p * n;
      if (2 * p + 1 < k) {
        const uint16_t* high = b.row(2 * p + 1);
        for (int64_t i = 0; i < n; ++i) out[i] = low[i] | static_cast<uint32_t>(high[i]) << 16;
      } else {
        for (int64_t i = 0; i < n; ++i) out[i] = low[i];
      }
    }
  });
  return paired;
}

// The first of 32 lanes, `count` of them or all.
__mmask32 first_lanes(int64_t count) { return count >= 32 ? ~__mmask32{0} : (__mmask32{1} << count) - 1; }

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")

__m512 multiply_add(__m512 sum, __m512i a, __m512i b) {
  return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b));
}

// The sums over all lanes of four vectors.
__m128 lane_sums(__m512 a, __m512 b, __m512 c, __m512 d) {
  const __m512 ab = _mm512_unpacklo_ps(a, b) + _mm512_unpackhi_ps(a, b);
  const __m512 cd = _mm512_unpacklo_ps(c, d) + _mm512_unpackhi_ps(c, d);
  const __m512 quarters = _mm512_shuffle_ps(ab, cd, 0x44) + _mm512_shuffle_ps(ab, cd, 0xee);
  const __m256 halves = _mm512_castps512_ps256(quarters) + _mm512_extractf32x8_ps(quarters, 1);
  return _mm256_castps256_ps128(halves) + _mm256_extractf128_ps(halves, 1);
}

// The dot products of kRows rows of a with kColumns rows of w.
template <int kRows, int kColumns>
void dot_tile(const Bits& a, const Bits& w, int64_t k, const DenseRows<uint16_t>& out) {
  __m512 sums[kRows][4] = {};
  for (int64_t i = 0; i < k; i += 32) {
    const __mmask32 mask = first_lanes(k - i);
    __m512i ws[kColumns];
#pragma GCC unroll 4
    for (int c = 0; c < kColumns; ++c) ws[c] = _mm512_maskz_loadu_epi16(mask, w.row(c) + i);
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      const __m512i as = _mm512_maskz_loadu_epi16(mask, a.row(r) + i);
#pragma GCC unroll 4
      for (int c = 0; c < kColumns; ++c) sums[r][c] = multiply_add(sums[r][c], as, ws[c]);
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
    const __m128 four = lane_sums(sums[r][0], sums[r][1], sums[r][2], sums[r][3]);
    _mm_mask_storeu_epi16(out.row(r), (1u << kColumns) - 1, reinterpret_cast<__m128i>(_mm_cvtneps_pbh(four)));
  }
}

// Rows 2p and 2p + 1 of up to 32 columns of b [k, 32], those of the mask: as pairs in two vectors, in fours of columns.
struct PairedColumns {
  Bits b;
  int64_t k;
  __mmask32 mask;
  [[gnu::always_inline]] void read(int64_t p, __m512i& low, __m512i& high) const {
    const int64_t t = 2 * p;
    const __m512i first = _mm512_maskz_loadu_epi16(mask, b.row(t));
    const __m512i second = t + 1 < k ? _mm512_maskz_loadu_epi16(mask, b.row(t + 1)) : _mm512_setzero_si512();
    _mm_prefetch(b.row(t + kRowsAhead), _MM_HINT_T0);
    _mm_prefetch(b.row(t + kRowsAhead + 1), _MM_HINT_T0);
    low = _mm512_unpacklo_epi16(first, second);
    high = _mm512_unpackhi_epi16(first, second);
  }
};

// The same, side by side: for columns that are read more than twice, as rows may fall on few lines of a cache.
struct PackedColumns {
  uint32_t* data;
  [[gnu::always_inline]] void read(int64_t p, __m512i& low, __m512i& high) const {
    low = _mm512_loadu_si512(data + 32 * p);
    high = _mm512_loadu_si512(data + 32 * p + 16);
  }
};

PackedColumns packed(const PairedColumns& columns, uint32_t* to) {
  for (int64_t p = 0; p < (columns.k + 1) / 2; ++p) {
    __m512i low, high;
    columns.read(p, low, high);
    _mm512_storeu_si512(to + 32 * p, low);
    _mm512_storeu_si512(to + 32 * p + 16, high);
  }
  return {to};
}

// out = sums, or out += sums: sixteen numbers, those of the mask.
void store(float* out, __m512 sums, __mmask16 mask, bool accumulate) {
  if (accumulate) sums += _mm512_maskz_loadu_ps(mask, out);
  _mm512_mask_storeu_ps(out, mask, sums);
}
void store(uint16_t* out, __m512 sums, __mmask16 mask, bool accumulate) {
  if (accumulate) {
    const __m512i before = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, out));
    sums += _mm512_castsi512_ps(_mm512_slli_epi32(before, 16));
  }
  _mm256_mask_storeu_epi16(out, mask, reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(sums)));
}

// kRanks rows of aᵀ·b, up to 32 columns of them.
template <int kRanks, typename Columns, typename Out>
void gather_tile(const Pairs& a, const Columns& columns, int64_t pairs, __mmask32 mask, const DenseRows<Out>& out,
                 bool accumulate) {
  __m512 sums[kRanks][2] = {};
  for (int64_t p = 0; p < pairs; ++p) {
    __m512i low, high;
    columns.read(p, low, high);
    const uint32_t* ranks = a.row(p);
#pragma GCC unroll 8
    for (int r = 0; r < kRanks; ++r) {
      const __m512i as = _mm512_set1_epi32(static_cast<int>(ranks[r]));
      sums[r][0] = multiply_add(sums[r][0], as, low);
      sums[r][1] = multiply_add(sums[r][1], as, high);
    }
  }
  // The columns came in fours, in turns in both vectors.
  const __m512i left = _mm512_setr_epi32(0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
  const __m512i right = _mm512_add_epi32(left, _mm512_set1_epi32(8));
#pragma GCC unroll 8
  for (int r = 0; r < kRanks; ++r) {
    store(out.row(r), _mm512_permutex2var_ps(sums[r][0], left, sums[r][1]), static_cast<__mmask16>(mask), accumulate);
    store(out.row(r) + 16, _mm512_permutex2var_ps(sums[r][0], right, sums[r][1]), static_cast<__mmask16>(mask >> 16),
          accumulate);
  }
}

#pragma GCC pop_options

void dot(const Bits& a, const Bits& w, int64_t m, int64_t n, int64_t k, const DenseRows<uint16_t>& out) {
  for_chunks(m, kRowsPerTask, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i += 4)
      with_count<4>(std::min<int64_t>(4, end - i), [&](auto rows) {
        for (int64_t j = 0; j < n; j += 4)
          with_count<4>(std::min<int64_t>(4, n - j), [&](auto columns) {
            dot_tile<rows(), columns()>({a.row(i), a.stride}, {w.row(j), w.stride}, k, {out.row(i) + j, out.stride});
          });
      });
  });
}

template <typename Out>
void gather(const Bits& a, const Bits& b, int64_t m, int64_t n, int64_t k, const DenseRows<Out>& out, bool accumulate) {
  const at::Tensor paired = paired_rows(a, k, m);
  const int64_t count = paired.size(0);
  const Pairs pairs{static_cast<const uint32_t*>(paired.const_data_ptr()), m};
  for_chunks(n, kColumnsPerTask, [&](int64_t begin, int64_t end) {
    const bool pack = m > 2 * kRanksAtOnce;
    const auto room = std::make_unique_for_overwrite<uint32_t[]>(static_cast<size_t>(pack ? 32 * count : 0));
    for (int64_t j = begin; j < end; j += 32) {
      const __mmask32 mask = first_lanes(end - j);
      const PairedColumns read{{b.data + j, b.stride}, k, mask};
      const auto tiles = [&](const auto& from) {
        for (int64_t i = 0; i < m; i += kRanksAtOnce)
          with_count<kRanksAtOnce>(std::min<int64_t>(kRanksAtOnce, m - i), [&](auto ranks) {
            gather_tile<ranks()>({pairs.data + i, m}, from, count, mask, DenseRows<Out>{out.row(i) + j, out.stride},
                                 accumulate);
          });
      };
      pack ? tiles(packed(read, room.get())) : tiles(read);
    }
  });
}

enum class Form { kNone, kDot, kGather };

Form form_of(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b, bool accumulate) {
  const bool rounds = out.scalar_type() == at::kBFloat16;
  if (has_dense_rows(a) && has_dense_columns(b) && b.size(1) <= kSkinny && rounds && !accumulate) return Form::kDot;
  if (has_dense_columns(a) && has_dense_rows(b) && a.size(0) <= kSkinny && (rounds || out.scalar_type() == at::kFloat))
    return Form::kGather;
  return Form::kNone;
}

bool has_bfloat16_dots() {
  static const bool has = cpu_features().avx512_bf16 && cpu_features().avx512_bw_dq_vl;
  return has;
}

Bits read(const at::Tensor& t, int64_t stride) { return {static_cast<const uint16_t*>(t.const_data_ptr()), stride}; }

}  // namespace

bool skinny_apply(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b, bool accumulate) {
  return a.is_cpu() && a.scalar_type() == at::kBFloat16 && b.scalar_type() == at::kBFloat16 && out.stride(1) == 1 &&
         has_bfloat16_dots() && form_of(out, a, b, accumulate) != Form::kNone;
}

void skinny_product(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b, bool accumulate) {
  MOREX_ASSERT(skinny_apply(out, a, b, accumulate) && out.size(0) == a.size(0) && out.size(1) == b.size(1));
  const int64_t m = a.size(0), k = a.size(1), n = b.size(1), stride = out.stride(0);
  const auto bits = [&] { return DenseRows<uint16_t>{static_cast<uint16_t*>(out.mutable_data_ptr()), stride}; };
  if (form_of(out, a, b, accumulate) == Form::kDot)
    return dot(read(a, a.stride(0)), read(b, b.stride(1)), m, n, k, bits());
  const Bits left = read(a, a.stride(1)), right = read(b, b.stride(0));
  if (out.scalar_type() == at::kFloat) {
    gather<float>(left, right, m, n, k, {out.mutable_data_ptr<float>(), stride}, accumulate);
  } else {
    gather<uint16_t>(left, right, m, n, k, bits(), accumulate);
  }
}

}  // namespace morex::ops
