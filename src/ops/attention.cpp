#include "ops/attention.h"

#include <ATen/core/Tensor.h>
#include <torch/csrc/autograd/custom_function.h>

#include "base/error.h"
#include "ops/attention_forms.h"

namespace morex::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Fewer queries would leave most of a 64-row block empty.
constexpr int64_t kMinimalBlockedLength = 16;

bool goes_in_blocks(const at::Tensor& q) {
  return q.is_cpu() && q.scalar_type() != at::kDouble && q.size(2) >= kMinimalBlockedLength &&
         blocked_attention_available();
}

struct AttentionNode : torch::autograd::Function<AttentionNode> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            double scale, const AttentionKind& kind) {
    const auto form = goes_in_blocks(q) ? blocked_attention : dense_attention;
    const AttentionResult result = form(q.detach(), k.detach(), v.detach(), scale, kind);
    ctx->save_for_backward({q, k, v, result.out, result.lse, kind.key_mask, kind.segments});
    ctx->saved_data["scale"] = scale;
    ctx->saved_data["causal"] = kind.causal;
    ctx->saved_data["window"] = kind.window;
    return result.out;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor &q = saved[0], &k = saved[1], &v = saved[2];
    const AttentionKind kind{ctx->saved_data["causal"].toBool(), ctx->saved_data["window"].toInt(), saved[5], saved[6]};
    const auto form = goes_in_blocks(q) ? blocked_attention_backward : dense_attention_backward;
    const AttentionGradients d = form(grads[0].detach(), q.detach(), k.detach(), v.detach(),
                                      {saved[3].detach(), saved[4]}, ctx->saved_data["scale"].toDouble(), kind);
    return {d.q, d.k, d.v, at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale,
                     const AttentionKind& kind) {
  MOREX_ASSERT(q.dim() == 4 && k.dim() == 4 && k.sizes() == v.sizes() && q.size(0) == k.size(0) &&
               q.size(3) == k.size(3) && q.size(1) % k.size(1) == 0 && q.size(2) <= k.size(2));
  MOREX_ASSERT(!kind.key_mask.defined() || kind.key_mask.size(1) == k.size(2));
  MOREX_ASSERT(!kind.segments.defined() || kind.segments.size(1) == k.size(2));
  return AttentionNode::apply(q, k, v, scale, kind);
}

}  // namespace morex::ops
