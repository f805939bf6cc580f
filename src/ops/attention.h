// Softmax attention with grouped key-value heads.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

namespace morex::ops {

// Keys of this segment are seen from every segment.
inline constexpr int64_t kSharedSegment = -1;

// Which keys a query may see. The L queries are the last L of the S positions (S - L were cached): query i stands at
// position S - L + i.
struct AttentionKind {
  bool causal = true;   // only positions up to its own
  int64_t window = 0;   // > 0: only the last `window` positions, its own included
  at::Tensor key_mask;  // [B, S] bool, true = visible; undefined: all
  at::Tensor segments;  // [B, S] int64: only keys with the query's number or the shared one; undefined: all
};

// softmax(scale · q·kᵀ)·v over the visible keys, scale > 0; a query that sees no key gives zeros.
// q [B, H, L, K]; k, v [B, Hk, S, K], H a multiple of Hk (query head h reads key head h·Hk/H; keys are not repeated).
// Any strides, though contiguous rows are fastest -> [B, H, L, K] laid out as [B, L, H, K] in memory, so that
// transpose(1, 2).reshape({B·L, H·K}) is a view.
// Dtypes: float32, float64, bfloat16 (scores and softmax in float32).
// Grad: q, k, v. Saves q, k, v, the output and the log-sum-exp [B, H, L]; probabilities are recomputed.
// Error: float32 1e-5, bfloat16 1e-2 relative to the reference in float64.
at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale,
                     const AttentionKind& kind);

}  // namespace morex::ops
