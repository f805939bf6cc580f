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

// x [T, d], tokens [n] int64 -> [n, d]. No gradient.
at::Tensor take_rows(const at::Tensor& x, const at::Tensor& tokens);
// y[tokens[i]] += rows[i], in place; tokens [n] are distinct; y [T, d] and rows [n, d] of one dtype. No gradient.
void add_rows(const at::Tensor& y, const at::Tensor& tokens, const at::Tensor& rows);

}  // namespace morex::ops
