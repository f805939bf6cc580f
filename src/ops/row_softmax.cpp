#include "ops/row_softmax.h"

#include <ATen/Dispatch.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include "base/error.h"
#include "ops/autograd_node.h"
#include "ops/chunks.h"
#include "ops/dense_rows.h"
#include "ops/row_softmax_reference.h"
#include "ops/softmax_rows.h"
#include "ops/vector_loops.h"

namespace morex::ops {
namespace {

at::Tensor forward(const at::Tensor& given) {
  const at::Tensor logits = with_dense_rows(unrecorded(given));
  const int64_t rows = logits.size(0), experts = logits.size(1), stride = logits.stride(0);
  const at::Tensor pi = at::empty({rows, experts}, logits.options());
  AT_DISPATCH_FLOATING_TYPES(pi.scalar_type(), "row_softmax", [&] {
    const scalar_t* from = logits.const_data_ptr<scalar_t>();
    scalar_t* to = pi.mutable_data_ptr<scalar_t>();
    for_chunks(rows, rows_per_chunk(experts), [&](int64_t begin, int64_t end) {
      in_vectors([&]() __attribute__((always_inline)) {
        softmax_rows(from + begin * stride, stride, end - begin, experts, to + begin * experts);
      });
    });
  });
  return pi;
}

// du = π·(dπ - Σ dπ·π).
at::Tensor backward(const at::Tensor& dpi_in, const at::Tensor& pi) {
  const at::Tensor dpi = dpi_in.detach().contiguous();
  const int64_t rows = pi.size(0), experts = pi.size(1);
  const at::Tensor dlogits = at::empty(pi.sizes(), pi.options().requires_grad(false));
  AT_DISPATCH_FLOATING_TYPES(pi.scalar_type(), "row_softmax_backward", [&] {
    const scalar_t *g = dpi.const_data_ptr<scalar_t>(), *p = pi.const_data_ptr<scalar_t>();
    scalar_t* d = dlogits.mutable_data_ptr<scalar_t>();
    for_chunks(rows, rows_per_chunk(experts), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin * experts; i < end * experts; i += experts) {
        scalar_t common = 0;
        for (int64_t e = 0; e < experts; ++e) common += g[i + e] * p[i + e];
        for (int64_t e = 0; e < experts; ++e) d[i + e] = p[i + e] * (g[i + e] - common);
      }
    });
  });
  return dlogits;
}

}  // namespace

at::Tensor row_softmax(const at::Tensor& logits) {
  MOREX_ASSERT(logits.dim() == 2 && logits.size(1) > 0);
  if (!logits.is_cpu()) return reference::row_softmax(logits);
  AutogradNode node("row_softmax", {logits});
  const at::Tensor pi = forward(logits);
  return node.record(
      pi, {pi}, [](const BackwardPass& pass) -> Tensors { return {backward(pass.grads[0], pass.saved[0].detach())}; });
}

}  // namespace morex::ops
