#include "ops/blocked_product.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <immintrin.h>

#include <algorithm>
#include <bit>
#include <type_traits>

#include "base/error.h"
#include "base/system.h"
#include "ops/block_product.h"
#include "ops/chunks.h"
#include "ops/dense_rows.h"
#include "ops/few_rows.h"
#include "ops/thread_memory.h"
#include "ops/vector_loops.h"

namespace morex::ops {
namespace {

// Columns of a block of b are whole tiles of the kernels' registers; with its depth it stays in the second-level cache
// beside a panel of a. The depth follows from the sum's length alone: where sums are cut must not depend on the grid.
constexpr int64_t kColumnUnit = 64, kMostDepth = 1024, kMostBytes = int64_t{1} << 19;
constexpr int64_t kPanel = 64;       // rows of a single small-block product
constexpr int64_t kMostRows = 1024;  // of one task
// What packing a block of b costs, in rows of a multiplied with it; what reading a again costs, in columns multiplied:
// from a cache, and from memory where its rows are long.
constexpr int64_t kPackingRows = 16, kReadingColumns = 4, kReadingColumnsOfLongRows = 32, kLongRow = 4096;
// Longer sums, as over a vocabulary, are formed in two slices, so that two threads need not share columns or rows.
constexpr int64_t kSlicedSum = 16384;
constexpr int64_t kMinimalRows = 32;
// Fewer columns of bfloat16 are better off in skinny_products.h, and shorter sums of it in the library.
int64_t minimal_columns(at::ScalarType type) { return type == at::kFloat ? 8 : 32; }
int64_t minimal_depth(at::ScalarType type) { return type == at::kFloat ? 8 : 64; }

int64_t up_to_multiple(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }
int64_t quotient_up(int64_t n, int64_t by) { return (n + by - 1) / by; }

// n cut into the fewest equal parts of at most `most`, whole vectors.
int64_t even_part(int64_t n, int64_t most) { return up_to_multiple(quotient_up(n, quotient_up(n, most)), 16); }

// How out is cut into tasks, and each of them into steps.
struct Grid {
  int64_t row_blocks, rows, columns, depth;
};

Grid grid_of(int64_t m, int64_t n, int64_t k, int64_t element_size, int64_t threads) {
  const int64_t most_columns = kMostBytes / (kMostDepth * element_size);
  const int64_t reading = k > kLongRow ? kReadingColumnsOfLongRows : kReadingColumns;
  Grid best{};
  int64_t least = 0;
  for (int64_t columns = kColumnUnit; columns <= std::min(most_columns, up_to_multiple(n, kColumnUnit));
       columns += kColumnUnit) {
    for (int64_t down = quotient_up(m, kMostRows); down <= quotient_up(m, kPanel); ++down) {
      const int64_t rows = up_to_multiple(quotient_up(m, down), 16);
      const int64_t turns = quotient_up(down * quotient_up(n, columns), threads);
      const int64_t cost = turns * (columns * (rows + kPackingRows) + reading * rows);
      if (best.rows != 0 && cost >= least) continue;
      best = {quotient_up(m, rows), rows, columns, even_part(k, kMostDepth)};
      least = cost;
    }
  }
  return best;
}

// b [K, N] with dense rows, or dense columns where `turned`.
template <typename T>
struct RightMatrix {
  const T* data;
  int64_t stride;
  bool turned;
  void pack(int64_t k, int64_t depth, int64_t column, int64_t columns, T* to, int64_t ldb) const {
    turned ? right_of_columns(data + column * stride + k, stride, depth, columns, to, ldb)
           : right_of_rows(data + k * stride + column, stride, depth, columns, to, ldb);
  }
};

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")

// Rounds sums [rows, columns] into out, or adds them to it.
void store(const DenseRows<float>& sums, int64_t rows, int64_t columns, const DenseRows<c10::BFloat16>& out,
           bool accumulate) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t i = 0; i < columns; i += 16) {
      const auto mask = static_cast<__mmask16>(columns - i >= 16 ? 0xffff : (1 << (columns - i)) - 1);
      __m512 x = _mm512_loadu_ps(sums.row(r) + i);
      if (accumulate) {
        const __m512i before = _mm512_maskz_cvtepu16_epi32(mask, _mm256_maskz_loadu_epi16(mask, out.row(r) + i));
        x += _mm512_castsi512_ps(_mm512_maskz_slli_epi32(mask, before, 16));
      }
      _mm256_mask_storeu_epi16(out.row(r) + i, mask, reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x)));
    }
  }
}

#pragma GCC pop_options

// Panels of few heights: each is a kernel of its own.
int64_t panel_height(int64_t rows) {
  return rows >= kPanel ? kPanel : static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(rows)));
}

// Asks for a panel of out while its product is under way: its rows lie too far apart for the processor's own guess.
template <typename T>
void prefetch(const DenseRows<T>& out, int64_t rows, int64_t columns) {
  constexpr int64_t kLine = 64 / sizeof(T);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i = 0; i < columns; i += kLine) _mm_prefetch(out.row(r) + i, _MM_HINT_T0);
}

// One task: rows of a times columns of b, over [first, last) of the depth. `place(row)` is where the sums of a panel
// go, `finish(row, height, sums)` sees them complete; `out` is what they are for.
template <typename T, typename Out, typename Place, typename Finish>
void multiply_block(const DenseRows<Out>& out, const DenseRows<const T>& a, int64_t rows, const RightMatrix<T>& b,
                    int64_t column, int64_t columns, int64_t first, int64_t last, int64_t step,
                    const DenseRows<T>& packed, bool add, const Place& place, const Finish& finish) {
  for (int64_t i = first; i < last; i += step) {
    const int64_t depth = std::min(step, last - i);
    b.pack(i, depth, column, columns, packed.data, packed.stride);
    for (int64_t row = 0, height = 0; row < rows; row += height) {
      height = panel_height(rows - row);
      prefetch<Out>({out.row(row), out.stride}, height, columns);
      const DenseRows<float> sums = place(row);
      block_product(height, columns, depth, a.row(row) + i, a.stride, packed.data, packed.stride, sums.data,
                    sums.stride, i > first || add);
      if (i + depth == last) finish(row, height, sums);
    }
  }
}

// Calls f(first row, rows, first column, columns, slice) for all tasks, on all threads.
template <typename T, typename F>
void for_tasks(const Grid& grid, int64_t m, int64_t n, int64_t slices, const F& f) {
  const int64_t tasks = grid.row_blocks * quotient_up(n, grid.columns);
  at::parallel_for(0, slices * tasks, 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const int64_t task = i % tasks;
      const int64_t row = task % grid.row_blocks * grid.rows, column = task / grid.row_blocks * grid.columns;
      f(row, std::min(grid.rows, m - row), column, std::min(grid.columns, n - column), i / tasks);
    }
    release_block_products(c10::CppTypeToScalarType<T>::value);
  });
}

constexpr auto kNothing = [](int64_t, int64_t, const DenseRows<float>&) {};

template <typename T>
void multiply_in_slices(const DenseRows<T>& out, const DenseRows<const T>& a, const RightMatrix<T>& b, int64_t m,
                        int64_t n, int64_t k, bool accumulate) {
  constexpr int64_t kSlices = 2;
  const int64_t slice = up_to_multiple(quotient_up(k, kSlices), 16);
  const Grid grid = grid_of(m, n, slice, sizeof(T), quotient_up(at::get_num_threads(), kSlices));
  const ThreadMemory<T> packed(grid.depth * grid.columns);
  const at::Tensor memory = at::empty({kSlices, m, n}, at::TensorOptions(at::kFloat));
  float* sums = memory.mutable_data_ptr<float>();
  for_tasks<T>(grid, m, n, kSlices, [&](int64_t row, int64_t rows, int64_t column, int64_t columns, int64_t i) {
    const DenseRows<float> to{sums + (i * m + row) * n + column, n};
    multiply_block<T, float>(
        to, {a.row(row), a.stride}, rows, b, column, columns, i * slice, std::min(k, (i + 1) * slice), grid.depth,
        {packed.first(), grid.columns}, false,
        [&](int64_t r) {
          return DenseRows<float>{to.row(r), n};
        },
        kNothing);
  });
  for_chunks(m, rows_per_chunk(n), [&](int64_t begin, int64_t end) {
    in_vectors([&]() __attribute__((always_inline)) {
      for (int64_t r = begin; r < end; ++r) {
        float* row = sums + r * n;
        add_row(row + m * n, row, n);
        accumulate ? add_row(row, out.row(r), n) : convert_row(row, out.row(r), n);
      }
    });
  });
}

template <typename T>
void multiply(const DenseRows<T>& out, const DenseRows<const T>& a, const RightMatrix<T>& b, int64_t m, int64_t n,
              int64_t k, bool accumulate) {
  if (k > kSlicedSum) return multiply_in_slices(out, a, b, m, n, k, accumulate);
  constexpr bool kInPlace = std::is_same_v<T, float>;
  const Grid grid = grid_of(m, n, k, sizeof(T), at::get_num_threads());
  const bool one_step = k <= grid.depth;
  // bfloat16 goes through float32 sums: a panel of them where the whole depth is one step.
  const ThreadMemory<T, float> memory(grid.depth * grid.columns,
                                      kInPlace ? 0 : (one_step ? kPanel : grid.rows) * grid.columns);
  for_tasks<T>(grid, m, n, 1, [&](int64_t row, int64_t rows, int64_t column, int64_t columns, int64_t) {
    const DenseRows<T> to{out.row(row) + column, out.stride}, room{memory.first(), grid.columns};
    const DenseRows<const T> from{a.row(row), a.stride};
    if constexpr (kInPlace) {
      multiply_block<T, T>(
          to, from, rows, b, column, columns, 0, k, grid.depth, room, accumulate,
          [&](int64_t r) {
            return DenseRows<float>{to.row(r), to.stride};
          },
          kNothing);
    } else {
      multiply_block<T, T>(
          to, from, rows, b, column, columns, 0, k, grid.depth, room, false,
          [&, own = memory.second()](int64_t r) {
            return DenseRows<float>{own + (one_step ? 0 : r) * grid.columns, grid.columns};
          },
          [&](int64_t r, int64_t height, const DenseRows<float>& panel) {
            store(panel, height, columns, {to.row(r), to.stride}, accumulate);
          });
    }
  });
}

template <typename T>
void multiply(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b, bool accumulate) {
  const bool turned = !has_dense_rows(b);
  multiply<T>({out.mutable_data_ptr<T>(), out.stride(0)}, {a.const_data_ptr<T>(), a.stride(0)},
              {b.const_data_ptr<T>(), b.stride(turned ? 1 : 0), turned}, a.size(0), b.size(1), a.size(1), accumulate);
}

bool runs_on(at::ScalarType type) {
  static const bool measured = cpu_features().is_amd && cpu_features().avx512_bw_dq_vl;
  return measured && has_block_product(type);
}

// Pairs of bfloat16 in columns of b are read as words of four bytes.
bool in_pairs(const at::Tensor& b) {
  const auto address = reinterpret_cast<uintptr_t>(b.const_data_ptr());
  return b.size(0) % 2 == 0 && (has_dense_rows(b) || (b.stride(1) % 2 == 0 && address % 4 == 0));
}

}  // namespace

bool blocked_product_applies(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b) {
  const at::ScalarType type = out.scalar_type();
  return out.is_cpu() && runs_on(type) && a.scalar_type() == type && b.scalar_type() == type &&
         a.size(0) >= kMinimalRows && b.size(1) >= minimal_columns(type) && a.size(1) >= minimal_depth(type) &&
         has_dense_rows(out) && has_dense_rows(a) && (has_dense_rows(b) || has_dense_columns(b)) &&
         (type == at::kFloat || in_pairs(b));
}

void blocked_product(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b, bool accumulate) {
  MOREX_ASSERT(blocked_product_applies(out, a, b) && out.size(0) == a.size(0) && out.size(1) == b.size(1));
  out.scalar_type() == at::kFloat ? multiply<float>(out, a, b, accumulate)
                                  : multiply<c10::BFloat16>(out, a, b, accumulate);
}

}  // namespace morex::ops
