#include "ops/softmax_mixture.h"

#include <ATen/Dispatch.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <vector>

#include "base/error.h"
#include "ops/autograd_node.h"
#include "ops/chunks.h"
#include "ops/softmax_mixture_reference.h"
#include "ops/softmax_rows.h"

namespace morex::ops {
namespace {

struct Inputs {
  at::Tensor logits, p;  // [n, N, E] with dense experts, [n, N] contiguous
};

Inputs readable(const at::Tensor& logits, const at::Tensor& p) {
  const at::Tensor l = logits.detach();
  return {l.stride(2) == 1 ? l : l.contiguous(), p.detach().contiguous()};
}

at::Tensor forward(const Inputs& in) {
  const int64_t n = in.logits.size(0), routers = in.logits.size(1), experts = in.logits.size(2);
  const at::Tensor pi = at::zeros({n, experts}, in.logits.options());
  AT_DISPATCH_FLOATING_TYPES(pi.scalar_type(), "softmax_mixture", [&] {
    const scalar_t *logits = in.logits.const_data_ptr<scalar_t>(), *p = in.p.const_data_ptr<scalar_t>();
    scalar_t* out = pi.mutable_data_ptr<scalar_t>();
    const int64_t row_stride = in.logits.stride(0), router_stride = in.logits.stride(1);
    for_chunks(n, rows_per_chunk(routers * experts), [&](int64_t begin, int64_t end) {
      std::vector<scalar_t> each(static_cast<size_t>(routers * experts));  // [N, E]
      for (int64_t t = begin; t < end; ++t) {
        softmax_rows(logits + t * row_stride, router_stride, routers, experts, each.data());
        for (int64_t r = 0; r < routers; ++r) {
          const scalar_t weight = p[t * routers + r], *softmax = each.data() + r * experts;
          for (int64_t e = 0; e < experts; ++e) out[t * experts + e] += weight * softmax[e];
        }
      }
    });
  });
  return pi;
}

struct MixtureGradients {
  at::Tensor logits, p;  // [n, N, E], [n, N]
};

// With s = softmax(u_n): dp_n = Σ dpi·s, du_n = p_n·s·(dpi - dp_n).
MixtureGradients backward(const at::Tensor& dpi_in, const Inputs& in) {
  const at::Tensor dpi = dpi_in.detach().contiguous();
  const int64_t n = in.logits.size(0), routers = in.logits.size(1), experts = in.logits.size(2);
  const MixtureGradients d{at::empty({n, routers, experts}, in.logits.options()),
                           at::empty({n, routers}, in.p.options())};
  AT_DISPATCH_FLOATING_TYPES(dpi.scalar_type(), "softmax_mixture_backward", [&] {
    const scalar_t *logits = in.logits.const_data_ptr<scalar_t>(), *p = in.p.const_data_ptr<scalar_t>();
    const scalar_t* gs = dpi.const_data_ptr<scalar_t>();
    scalar_t *dlogits = d.logits.mutable_data_ptr<scalar_t>(), *dp = d.p.mutable_data_ptr<scalar_t>();
    const int64_t row_stride = in.logits.stride(0), router_stride = in.logits.stride(1);
    for_chunks(n, rows_per_chunk(routers * experts), [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        const scalar_t* g = gs + t * experts;
        softmax_rows(logits + t * row_stride, router_stride, routers, experts, dlogits + t * routers * experts);
        for (int64_t r = 0; r < routers; ++r) {
          scalar_t* s = dlogits + (t * routers + r) * experts;
          scalar_t dot = 0;
          for (int64_t e = 0; e < experts; ++e) dot += g[e] * s[e];
          dp[t * routers + r] = dot;
          const scalar_t weight = p[t * routers + r];
          for (int64_t e = 0; e < experts; ++e) s[e] *= weight * (g[e] - dot);
        }
      }
    });
  });
  return d;
}

}  // namespace

at::Tensor softmax_mixture(const at::Tensor& logits, const at::Tensor& p) {
  MOREX_ASSERT(logits.dim() == 3 && p.dim() == 2 && p.size(0) == logits.size(0) && p.size(1) == logits.size(1) &&
               p.scalar_type() == logits.scalar_type());
  if (!logits.is_cpu()) return reference::softmax_mixture(logits, p);
  AutogradNode node("softmax_mixture", {logits, p});
  const at::Tensor pi = forward(readable(logits, p));  // [n, E]
  return node.record(pi, {logits, p}, [](const BackwardPass& pass) -> Tensors {
    const MixtureGradients d = backward(pass.grads[0], readable(pass.saved[0], pass.saved[1]));
    return {d.logits, d.p};
  });
}

}  // namespace morex::ops
