#include "ops/blocked_product.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <immintrin.h>

#include <algorithm>
#include <bit>
#include <type_traits>
#include <vector>

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
// Steps of several products share a round up to this depth: a rank beside a whole step.
constexpr int64_t kMostRoundDepth = kMostDepth + 128;
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

// How out is cut into tasks.
struct Grid {
  int64_t row_blocks, rows, columns;
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
      best = {quotient_up(m, rows), rows, columns};
      least = cost;
    }
  }
  return best;
}

int64_t tasks_of(const Grid& grid, int64_t n) { return grid.row_blocks * quotient_up(n, grid.columns); }

// b [K, N] with dense rows, or dense columns where `turned`.
template <typename T>
struct RightMatrix {
  const T* data;
  int64_t stride;
  bool turned;
  RightMatrix from_row(int64_t k) const { return {data + (turned ? k : k * stride), stride, turned}; }
  void pack(int64_t k, int64_t depth, int64_t column, int64_t columns, T* to, int64_t ldb) const {
    turned ? right_of_columns(data + column * stride + k, stride, depth, columns, to, ldb)
           : right_of_rows(data + k * stride + column, stride, depth, columns, to, ldb);
  }
};

// a·b over k numbers, one of the products that are summed.
template <typename T>
struct Term {
  DenseRows<const T> a;
  RightMatrix<T> b;
  int64_t k;
};

// A part of a term's depth. The steps of a round are multiplied panel by panel, with their blocks of b packed one
// behind another, from row `place` on.
struct Step {
  size_t term;
  int64_t first, depth, place;
};
using Round = std::vector<Step>;

template <typename T>
std::vector<Round> rounds_of(const std::vector<Term<T>>& terms) {
  std::vector<Round> rounds;
  int64_t used = kMostRoundDepth;
  for (size_t t = 0; t < terms.size(); ++t) {
    const int64_t k = terms[t].k, most = even_part(k, kMostDepth);
    for (int64_t i = 0; i < k; i += most) {
      const int64_t depth = std::min(most, k - i);
      if (used + depth > kMostRoundDepth) {
        rounds.emplace_back();
        used = 0;
      }
      rounds.back().push_back({t, i, depth, used});
      used += depth;
    }
  }
  return rounds;
}

int64_t deepest(const std::vector<Round>& rounds) {
  int64_t depth = 0;
  for (const Round& round : rounds) depth = std::max(depth, round.back().place + round.back().depth);
  return depth;
}

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

// A task's part of out.
template <typename Out>
struct Tile {
  DenseRows<Out> out;
  int64_t row, rows, column, columns;
  DenseRows<Out> panel(int64_t r) const { return {out.row(row + r) + column, out.stride}; }
};

// The sums of all terms, or what is there and them. `place(row)` is where those of a panel go, `finish(row, height,
// sums)` sees them complete.
template <typename T, typename Out, typename Place, typename Finish>
void multiply_tile(const Tile<Out>& tile, const std::vector<Term<T>>& terms, const std::vector<Round>& rounds, bool add,
                   const DenseRows<T>& packed, const Place& place, const Finish& finish) {
  for (const Round& round : rounds) {
    for (const Step& step : round)
      terms[step.term].b.pack(step.first, step.depth, tile.column, tile.columns, packed.row(step.place), packed.stride);
    for (int64_t row = 0, height = 0; row < tile.rows; row += height) {
      height = panel_height(tile.rows - row);
      prefetch(tile.panel(row), height, tile.columns);
      const DenseRows<float> sums = place(row);
      for (const Step& step : round) {
        const DenseRows<const T>& a = terms[step.term].a;
        const bool starts = &round == &rounds.front() && &step == &round.front();
        block_product(height, tile.columns, step.depth, a.row(tile.row + row) + step.first, a.stride,
                      packed.row(step.place), packed.stride, sums.data, sums.stride, add || !starts);
      }
      if (&round == &rounds.back()) finish(row, height, sums);
    }
  }
}

// Calls f(tile, slice) for all tasks of all slices, on all threads.
template <typename T, typename Out, typename F>
void for_tiles(const Grid& grid, const DenseRows<Out>& out, int64_t m, int64_t n, int64_t slices, const F& f) {
  const int64_t tasks = tasks_of(grid, n);
  at::parallel_for(0, slices * tasks, 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const int64_t task = i % tasks;
      const int64_t row = task % grid.row_blocks * grid.rows, column = task / grid.row_blocks * grid.columns;
      f(Tile<Out>{out, row, std::min(grid.rows, m - row), column, std::min(grid.columns, n - column)}, i / tasks);
    }
    release_block_products(c10::CppTypeToScalarType<T>::value);
  });
}

constexpr auto kNothing = [](int64_t, int64_t, const DenseRows<float>&) {};

template <typename T>
void multiply_in_slices(const DenseRows<T>& out, const Term<T>& term, int64_t m, int64_t n, bool accumulate) {
  constexpr int64_t kSlices = 2;
  const int64_t half = up_to_multiple(quotient_up(term.k, kSlices), 16);
  std::vector<std::vector<Term<T>>> terms;
  for (int64_t k = 0; k < term.k; k += half)
    terms.push_back({{{term.a.data + k, term.a.stride}, term.b.from_row(k), std::min(half, term.k - k)}});
  const std::vector<Round> rounds[] = {rounds_of(terms[0]), rounds_of(terms[1])};
  const Grid grid = grid_of(m, n, half, sizeof(T), quotient_up(at::get_num_threads(), kSlices));
  const ThreadMemory<T> packed(kSlices * tasks_of(grid, n),
                               std::max(deepest(rounds[0]), deepest(rounds[1])) * grid.columns);
  const at::Tensor memory = at::empty({kSlices, m, n}, at::TensorOptions(at::kFloat));
  const DenseRows<float> sums{memory.mutable_data_ptr<float>(), n};
  for_tiles<T>(grid, sums, m, n, kSlices, [&](const Tile<float>& whole, int64_t slice) {
    Tile<float> tile = whole;
    tile.out = {sums.row(slice * m), n};
    const auto i = static_cast<size_t>(slice);
    const auto place = [&](int64_t row) { return tile.panel(row); };
    multiply_tile<T>(tile, terms[i], rounds[i], false, {packed.first(), grid.columns}, place, kNothing);
  });
  for_chunks(m, rows_per_chunk(n), [&](int64_t begin, int64_t end) {
    in_vectors([&]() __attribute__((always_inline)) {
      for (int64_t r = begin; r < end; ++r) {
        add_row(sums.row(m + r), sums.row(r), n);
        accumulate ? add_row(sums.row(r), out.row(r), n) : convert_row(sums.row(r), out.row(r), n);
      }
    });
  });
}

template <typename T>
void multiply(const DenseRows<T>& out, const std::vector<Term<T>>& terms, int64_t m, int64_t n, bool accumulate) {
  if (terms.front().k > kSlicedSum) return multiply_in_slices(out, terms.front(), m, n, accumulate);
  constexpr bool kInPlace = std::is_same_v<T, float>;
  int64_t k = 0;
  for (const Term<T>& term : terms) k = std::max(k, term.k);
  const Grid grid = grid_of(m, n, k, sizeof(T), at::get_num_threads());
  const std::vector<Round> rounds = rounds_of(terms);
  const bool one_round = rounds.size() == 1;
  // bfloat16 goes through float32 sums: a panel of them where all is one round.
  const ThreadMemory<T, float> memory(tasks_of(grid, n), deepest(rounds) * grid.columns,
                                      kInPlace ? 0 : (one_round ? kPanel : grid.rows) * grid.columns);
  for_tiles<T>(grid, out, m, n, 1, [&](const Tile<T>& tile, int64_t) {
    const DenseRows<T> packed{memory.first(), grid.columns};
    if constexpr (kInPlace) {
      const auto place = [&](int64_t row) { return tile.panel(row); };
      multiply_tile<T>(tile, terms, rounds, accumulate, packed, place, kNothing);
    } else {
      const DenseRows<float> sums{memory.second(), grid.columns};
      const auto place = [&](int64_t row) { return DenseRows<float>{sums.row(one_round ? 0 : row), sums.stride}; };
      multiply_tile<T>(tile, terms, rounds, false, packed, place,
                       [&](int64_t row, int64_t height, const DenseRows<float>& panel) {
                         store(panel, height, tile.columns, tile.panel(row), accumulate);
                       });
    }
  });
}

template <typename T>
void multiply(const at::Tensor& out, const std::vector<Factors>& products, bool accumulate) {
  std::vector<Term<T>> terms;
  for (const Factors& product : products) {
    const at::Tensor &a = product.a, &b = product.b;
    const bool turned = !has_dense_rows(b);
    const RightMatrix<T> right{b.const_data_ptr<T>(), b.stride(turned ? 1 : 0), turned};
    terms.push_back({{a.const_data_ptr<T>(), a.stride(0)}, right, a.size(1)});
  }
  multiply<T>({out.mutable_data_ptr<T>(), out.stride(0)}, terms, out.size(0), out.size(1), accumulate);
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

bool are_operands(const at::Tensor& a, const at::Tensor& b, at::ScalarType type) {
  return a.scalar_type() == type && b.scalar_type() == type && has_dense_rows(a) &&
         (has_dense_rows(b) || has_dense_columns(b)) && (type == at::kFloat || in_pairs(b));
}

}  // namespace

bool blocked_products_apply(const at::Tensor& out, const std::vector<Factors>& products) {
  const at::ScalarType type = out.scalar_type();
  const auto fits = [&](const Factors& product) {
    return are_operands(product.a, product.b, type) && product.a.size(1) > 0 &&
           (products.size() == 1 || product.a.size(1) <= kSlicedSum);
  };
  return out.is_cpu() && runs_on(type) && !products.empty() && has_dense_rows(out) && out.size(0) >= kMinimalRows &&
         out.size(1) >= minimal_columns(type) && products.front().a.size(1) >= minimal_depth(type) &&
         std::all_of(products.begin(), products.end(), fits);
}

void blocked_products(const at::Tensor& out, const std::vector<Factors>& products, bool accumulate) {
  MOREX_ASSERT(blocked_products_apply(out, products));
  for (const auto& [a, b] : products) MOREX_ASSERT(out.size(0) == a.size(0) && out.size(1) == b.size(1));
  out.scalar_type() == at::kFloat ? multiply<float>(out, products, accumulate)
                                  : multiply<c10::BFloat16>(out, products, accumulate);
}

}  // namespace morex::ops
