#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/sum.h>

#include <limits>

#include "ops/attention_forms.h"
#include "ops/attention_mask.h"
#include "ops/dense_rows.h"
#include "ops/wide.h"

namespace morex::ops {
namespace {

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
    scores.view({-1, hidden.size(0), hidden.size(1)}).masked_fill_(hidden, -kInfinity);
  }
  return scores;
}

}  // namespace

AttentionResult dense_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale,
                                const AttentionKind& kind) {
  const at::NoGradGuard no_grad;
  const int64_t batch = q.size(0), heads = q.size(1), length = q.size(2), width = q.size(3), key_heads = k.size(1);
  const AttentionMask mask(kind, length, k.size(2), q.device());
  AttentionResult r;
  r.out = empty_heads(batch, heads, length, width, q.options());
  r.lse = at::empty({batch, heads, length}, q.options().dtype(wide_type(q.scalar_type())));
  for (int64_t b = 0; b < batch; ++b) {
    at::Tensor scores = masked_scores(folded(q, b, key_heads), folded(k, b, key_heads), scale, mask.hidden(b));
    at::Tensor lse = at::logsumexp(scores, 2, true);  // [Hk, G·L, 1]
    lse.masked_fill_(lse == -kInfinity, kInfinity);   // a query that sees nothing: all probabilities 0
    const at::Tensor out = at::bmm(scores.sub_(lse).exp_(), folded(v, b, key_heads));
    r.out.select(0, b).copy_(out.view({heads, length, width}));
    r.lse.select(0, b).copy_(lse.view({heads, length}));
  }
  return r;
}

AttentionGradients dense_attention_backward(const at::Tensor& dout, const at::Tensor& q, const at::Tensor& k,
                                            const at::Tensor& v, const AttentionResult& result, double scale,
                                            const AttentionKind& kind) {
  const at::NoGradGuard no_grad;
  const int64_t batch = q.size(0), key_heads = k.size(1);
  const AttentionMask mask(kind, q.size(2), k.size(2), q.device());
  AttentionGradients d;
  d.q = at::empty_like(q, at::MemoryFormat::Contiguous);
  d.k = at::empty_like(k, at::MemoryFormat::Contiguous);
  d.v = at::empty_like(v, at::MemoryFormat::Contiguous);
  for (int64_t b = 0; b < batch; ++b) {
    const at::Tensor qb = folded(q, b, key_heads), kb = folded(k, b, key_heads), vb = folded(v, b, key_heads);
    const at::Tensor go = folded(dout, b, key_heads);
    const at::Tensor lse = result.lse.select(0, b).reshape({key_heads, -1, 1});
    const at::Tensor p = masked_scores(qb, kb, scale, mask.hidden(b)).sub_(lse).exp_();  // [Hk, G·L, S]
    const at::Tensor delta = at::sum(go * folded(result.out, b, key_heads), 2, true);    // [Hk, G·L, 1]
    d.v.select(0, b).copy_(at::bmm(p.transpose(1, 2), go));
    const at::Tensor ds = at::bmm(go, vb.transpose(1, 2)).sub_(delta).mul_(p).mul_(scale);
    d.q.select(0, b).copy_(at::bmm(ds, kb).view(q.select(0, b).sizes()));
    d.k.select(0, b).copy_(at::bmm(ds.transpose(1, 2), qb));
  }
  return d;
}

}  // namespace morex::ops
