// Loops over tokens whose sums over all tokens are formed piece by piece, so that they do not depend on the number of
// threads.
#pragma once
#include <cstdint>

#include "ops/chunks.h"
#include "ops/vector_loops.h"

namespace morex::ops {

inline constexpr int64_t kPieceTokens = 64;

inline int64_t token_pieces(int64_t tokens) { return (tokens + kPieceTokens - 1) / kPieceTokens; }

// Calls f(begin, end) in vectors for pieces of tokens.
template <typename F>
void for_pieces(int64_t tokens, const F& f) {
  for_chunks(tokens, kPieceTokens,
             [&](int64_t begin, int64_t end) { in_vectors([&]() __attribute__((always_inline)) { f(begin, end); }); });
}

}  // namespace morex::ops
