// The ways attention runs. Both take and give what attention.h describes; k and v have dense rows.
#pragma once
#include <ATen/core/Tensor.h>

#include "ops/attention.h"

namespace morex::ops {

struct AttentionResult {
  at::Tensor out;  // [B, H, L, K], laid out as [B, L, H, K]
  at::Tensor lse;  // [B, H, L] log-sum-exp of the scaled scores, +inf where nothing is visible; float32 (float64)
};

struct AttentionGradients {
  at::Tensor q, k, v;  // in the inputs' dtype
};

// Plain ATen, one sequence at a time with all its scores: any dtype and device.
AttentionResult dense_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale,
                                const AttentionKind& kind);
AttentionGradients dense_attention_backward(const at::Tensor& dout, const at::Tensor& q, const at::Tensor& k,
                                            const at::Tensor& v, const AttentionResult& result, double scale,
                                            const AttentionKind& kind);

// Few queries, float32 inside, for float32 and bfloat16 on the CPU; keys and values are not copied. A query's result
// does not depend on the batch. Forward only.
AttentionResult short_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale,
                                const AttentionKind& kind);

// Blocks of 64 queries by 64 keys on LibTorch's small-block product, skipping blocks that nobody sees, for float32 and
// bfloat16 on the CPU. No tensor of size L x S is formed. float32 inside; where the processor multiplies bfloat16 (and
// K is a multiple of 8), probabilities and their gradients are rounded to it before they are multiplied.
bool blocked_attention_available();
AttentionResult blocked_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale,
                                  const AttentionKind& kind);
AttentionGradients blocked_attention_backward(const at::Tensor& dout, const at::Tensor& q, const at::Tensor& k,
                                              const at::Tensor& v, const AttentionResult& result, double scale,
                                              const AttentionKind& kind);

}  // namespace morex::ops
