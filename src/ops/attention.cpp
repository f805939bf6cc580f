#include "ops/attention.h"

#include <ATen/core/Tensor.h>

#include "base/error.h"
#include "ops/attention_forms.h"
#include "ops/autograd_node.h"

namespace morex::ops {
namespace {

// Fewer queries would leave most of a 64-row block empty.
constexpr int64_t kMinimalBlockedLength = 16;

bool has_fast_forms(const at::Tensor& q) {
  return q.is_cpu() && (q.scalar_type() == at::kFloat || q.scalar_type() == at::kBFloat16);
}

bool goes_in_blocks(const at::Tensor& q) {
  return has_fast_forms(q) && q.size(2) >= kMinimalBlockedLength && blocked_attention_available();
}

auto forward_form(const at::Tensor& q) {
  if (goes_in_blocks(q)) return blocked_attention;
  return has_fast_forms(q) && q.size(2) < kMinimalBlockedLength ? short_attention : dense_attention;
}

Tensors attention_backward(const BackwardPass& pass, double scale, bool causal, int64_t window) {
  const at::Tensor q = pass.saved[0].detach(), k = pass.saved[1].detach(), v = pass.saved[2].detach();
  const AttentionResult result{pass.saved[3].detach(), pass.saved[4]};
  const AttentionKind kind{causal, window, pass.saved[5], pass.saved[6]};
  const auto form = goes_in_blocks(q) ? blocked_attention_backward : dense_attention_backward;
  const AttentionGradients d = form(pass.grads[0].detach(), q, k, v, result, scale, kind);
  return {d.q, d.k, d.v};
}

}  // namespace

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale,
                     const AttentionKind& kind) {
  MOREX_ASSERT(q.dim() == 4 && k.dim() == 4 && k.sizes() == v.sizes() && q.size(0) == k.size(0) &&
               q.size(3) == k.size(3) && q.size(1) % k.size(1) == 0 && q.size(2) <= k.size(2));
  MOREX_ASSERT(!kind.key_mask.defined() || kind.key_mask.size(1) == k.size(2));
  MOREX_ASSERT(!kind.segments.defined() || kind.segments.size(1) == k.size(2));
  AutogradNode node("attention", {q, k, v});
  const AttentionResult result = forward_form(q)(q.detach(), k.detach(), v.detach(), scale, kind);
  return node.record(result.out, {q, k, v, result.out, result.lse, kind.key_mask, kind.segments},
                     [scale, causal = kind.causal, window = kind.window](const BackwardPass& pass) {
                       return attention_backward(pass, scale, causal, window);
                     });
}

}  // namespace morex::ops
