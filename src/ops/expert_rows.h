// Which tokens each expert of a mixture works on, and moving their rows.
#pragma once
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace morex::ops {

// The tokens of each of E experts, grouped by expert; a token appears at most once per expert.
struct ExpertRows {
  at::Tensor tokens;            // [N] int64
  std::vector<int64_t> counts;  // [E], their sum is N
};

// A part of one expert's rows.
struct ExpertPiece {
  int64_t expert = 0, first = 0, count = 0;  // first: place in ExpertRows::tokens
};

// Calls f(piece) for pieces of at most `most` rows, experts in ascending order.
template <typename F>
void for_pieces(const ExpertRows& rows, int64_t most, const F& f) {
  int64_t begin = 0;
  for (size_t e = 0; e < rows.counts.size(); ++e) {
    const int64_t end = begin + rows.counts[e];
    for (int64_t first = begin; first < end; first += most)
      f(ExpertPiece{static_cast<int64_t>(e), first, std::min(most, end - first)});
    begin = end;
  }
}

// The rows that a piece of `count` is padded to, a multiple of 32 where there are many: the library compiles a product
// for every new number of rows.
inline int64_t padded_rows(int64_t count) { return count <= 8 ? count : (count + 31) / 32 * 32; }

// x [T, d], tokens [n] int64 -> [rows, d], rows >= n: those behind the tokens' are zero. No gradient.
at::Tensor take_rows(const at::Tensor& x, const at::Tensor& tokens, int64_t rows);
// y[tokens[i]] += rows[i], in place; tokens [n] are distinct; y [T, d] and rows [>= n, d] of one dtype. No gradient.
void add_rows(const at::Tensor& y, const at::Tensor& tokens, const at::Tensor& rows);

// Where sums over a token's rows begin.
struct Visits {
  std::vector<uint8_t> first;   // [N] 1: no row before it in ExpertRows::tokens is of its token
  std::vector<int64_t> missed;  // tokens without a row
};
Visits visits_of(const ExpertRows& rows, int64_t tokens);

}  // namespace morex::ops
