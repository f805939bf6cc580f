#include "ops/attention.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <limits>

#include "base/error.h"
#include "ops/attention_mask.h"
#include "ops/wide.h"

namespace morex::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// t [B, H, L, K] -> sequence b with the query heads of one key head as rows of one matrix, [Hk, (H/Hk)·L, K].
at::Tensor folded(const at::Tensor& t, int64_t b, int64_t key_heads) {
  const at::Tensor one = t.select(0, b).to(wide_type(t.scalar_type()));
  return one.reshape({key_heads, t.size(1) / key_heads * t.size(2), t.size(3)});
}

// The scaled scores [Hk, (H/Hk)·L, S] with -inf where nothing may be seen.
at::Tensor masked_scores(const at::Tensor& q, const at::Tensor& k, double scale, const at::Tensor& hidden) {
  at::Tensor scores = at::bmm(q, k.transpose(1, 2)).mul_(scale);
  if (hidden.defined()) {
    const int64_t length = hidden.size(0), keys = hidden.size(1);
    scores.view({-1, length, keys}).masked_fill_(hidden, -kInfinity);
  }
  return scores;
}

struct AttentionNode : torch::autograd::Function<AttentionNode> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            double scale, const AttentionKind& kind) {
    const int64_t batch = q.size(0), heads = q.size(1), length = q.size(2), width = q.size(3);
    const int64_t key_heads = k.size(1);
    const AttentionMask mask(kind, length, k.size(2), q.device());
    const at::Tensor out =
        at::empty_strided({batch, heads, length, width}, {length * heads * width, width, heads * width, 1},
                          q.options().requires_grad(false));
    const at::Tensor lse =
        at::empty({batch, heads, length}, q.options().dtype(wide_type(q.scalar_type())).requires_grad(false));
    for (int64_t b = 0; b < batch; ++b) {
      const at::Tensor scores =
          masked_scores(folded(q.detach(), b, key_heads), folded(k.detach(), b, key_heads), scale, mask.hidden(b));
      at::Tensor l = at::logsumexp(scores, 2, true);  // [Hk, G·L, 1]
      l.masked_fill_(l == -kInfinity, kInfinity);     // a query that sees nothing: all probabilities 0
      const at::Tensor o = at::bmm(scores.sub_(l).exp_(), folded(v.detach(), b, key_heads));
      out.select(0, b).copy_(o.view({heads, length, width}));
      lse.select(0, b).copy_(l.view({heads, length}));
    }
    ctx->save_for_backward({q, k, v, out, lse, kind.key_mask, kind.segments});
    ctx->saved_data["scale"] = scale;
    ctx->saved_data["causal"] = kind.causal;
    ctx->saved_data["window"] = kind.window;
    return out;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor q = saved[0].detach(), k = saved[1].detach(), v = saved[2].detach(), out = saved[3].detach();
    const at::Tensor &lse = saved[4], &dout = grads[0];
    const double scale = ctx->saved_data["scale"].toDouble();
    const AttentionKind kind{ctx->saved_data["causal"].toBool(), ctx->saved_data["window"].toInt(), saved[5], saved[6]};
    const int64_t batch = q.size(0), key_heads = k.size(1);
    const AttentionMask mask(kind, q.size(2), k.size(2), q.device());
    const at::Tensor dq = at::empty_like(q, at::MemoryFormat::Contiguous);
    const at::Tensor dk = at::empty_like(k, at::MemoryFormat::Contiguous);
    const at::Tensor dv = at::empty_like(v, at::MemoryFormat::Contiguous);
    for (int64_t b = 0; b < batch; ++b) {
      const at::Tensor qb = folded(q, b, key_heads), kb = folded(k, b, key_heads), vb = folded(v, b, key_heads);
      const at::Tensor go = folded(dout, b, key_heads);
      const at::Tensor l = lse.select(0, b).reshape({key_heads, -1, 1});
      const at::Tensor p = masked_scores(qb, kb, scale, mask.hidden(b)).sub_(l).exp_();  // [Hk, G·L, S]
      const at::Tensor delta = at::sum(go * folded(out, b, key_heads), 2, true);         // [Hk, G·L, 1]
      dv.select(0, b).copy_(at::bmm(p.transpose(1, 2), go));
      const at::Tensor ds = at::bmm(go, vb.transpose(1, 2)).sub_(delta).mul_(p).mul_(scale);
      dq.select(0, b).copy_(at::bmm(ds, kb).view(q.select(0, b).sizes()));
      dk.select(0, b).copy_(at::bmm(ds.transpose(1, 2), qb));
    }
    return {dq, dk, dv, at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale,
                     const AttentionKind& kind) {
  MOREX_ASSERT(q.dim() == 4 && k.dim() == 4 && k.sizes() == v.sizes() && q.size(0) == k.size(0) &&
               q.size(3) == k.size(3) && q.size(1) % k.size(1) == 0 && q.size(2) <= k.size(2));
  return AttentionNode::apply(q, k, v, scale, kind);
}

}  // namespace morex::ops
