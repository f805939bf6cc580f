#include "ops/rms_norm.h"

#include <ATen/Dispatch.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <cmath>

#include "base/error.h"
#include "ops/autograd_node.h"
#include "ops/chunks.h"
#include "ops/dense_rows.h"
#include "ops/rms_norm_reference.h"
#include "ops/vector_loops.h"
#include "ops/wide.h"

namespace morex::ops {
namespace {

template <typename T, typename A>
[[gnu::always_inline]] inline void forward_row(const T* x, const T* w, T* y, A* rstd, int64_t d, A eps) {
  A sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < d; ++i) sum += widen(x[i]) * widen(x[i]);
  const A r = A(1) / std::sqrt(sum / static_cast<A>(d) + eps);
  *rstd = r;
#pragma omp simd
  for (int64_t i = 0; i < d; ++i) {
    y[i] = narrow<T>(widen(w[i]) * rounded<T>(widen(x[i]) * r));
  }
}

// With n = x·rstd and g = dy·w: dx = rstd·(g - n·mean(g·n)).
template <typename T, typename A>
[[gnu::always_inline]] inline void backward_row(const T* dy, const T* x, const T* w, A r, T* dx, int64_t d) {
  A dot = 0;
#pragma omp simd reduction(+ : dot)
  for (int64_t i = 0; i < d; ++i) dot += widen(dy[i]) * widen(w[i]) * widen(x[i]);
  const A c = dot * r * r / static_cast<A>(d);
#pragma omp simd
  for (int64_t i = 0; i < d; ++i) {
    dx[i] = narrow<T>(r * (widen(dy[i]) * widen(w[i]) - c * widen(x[i])));
  }
}

}  // namespace

std::pair<at::Tensor, at::Tensor> rms_norm_forward(const at::Tensor& x_in, const at::Tensor& weight, double eps) {
  MOREX_ASSERT(x_in.dim() == 2 && weight.dim() == 1 && x_in.size(1) == weight.size(0));
  const at::Tensor x = with_dense_rows(x_in.detach());
  const at::Tensor w = weight.detach().to(x.scalar_type()).contiguous();
  const int64_t rows = x.size(0), d = x.size(1);
  const at::Tensor y = at::empty({rows, d}, x.options());
  const at::Tensor rstd = at::empty({rows}, x.options().dtype(wide_type(x.scalar_type())));
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, x.scalar_type(), "rms_norm_forward", [&] {
    using wide = Wide<scalar_t>;
    const scalar_t *xs = x.const_data_ptr<scalar_t>(), *ws = w.const_data_ptr<scalar_t>();
    scalar_t* ys = y.mutable_data_ptr<scalar_t>();
    wide* rs = rstd.mutable_data_ptr<wide>();
    const int64_t stride = x.stride(0);
    for_chunks(rows, rows_per_chunk(d), [&](int64_t begin, int64_t end) {
      in_vectors([&]() __attribute__((always_inline)) {
        for (int64_t t = begin; t < end; ++t)
          forward_row<scalar_t, wide>(xs + t * stride, ws, ys + t * d, rs + t, d, static_cast<wide>(eps));
      });
    });
  });
  return {y, rstd};
}

std::pair<at::Tensor, at::Tensor> rms_norm_backward(const at::Tensor& dy_in, const at::Tensor& x_in,
                                                    const at::Tensor& weight, const at::Tensor& rstd,
                                                    bool need_weight_grad) {
  const at::Tensor x = with_dense_rows(x_in.detach()), dy = with_dense_rows(dy_in.detach());
  const at::Tensor w = weight.detach().to(x.scalar_type()).contiguous();
  const int64_t rows = x.size(0), d = x.size(1);
  const at::Tensor dx = at::empty({rows, d}, x.options());
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, x.scalar_type(), "rms_norm_backward", [&] {
    using wide = Wide<scalar_t>;
    const scalar_t *xs = x.const_data_ptr<scalar_t>(), *ws = w.const_data_ptr<scalar_t>();
    const scalar_t* gs = dy.const_data_ptr<scalar_t>();
    scalar_t* ds = dx.mutable_data_ptr<scalar_t>();
    const wide* rs = rstd.const_data_ptr<wide>();
    const int64_t x_stride = x.stride(0), g_stride = dy.stride(0);
    for_chunks(rows, rows_per_chunk(d), [&](int64_t begin, int64_t end) {
      in_vectors([&]() __attribute__((always_inline)) {
        for (int64_t t = begin; t < end; ++t)
          backward_row<scalar_t, wide>(gs + t * g_stride, xs + t * x_stride, ws, rs[t], ds + t * d, d);
      });
    });
  });
  at::Tensor dw;
  if (need_weight_grad) {
    const at::Tensor normalised = x.to(rstd.scalar_type()).mul(rstd.unsqueeze(1));
    dw = normalised.mul_(dy).sum(0);  // [D]
  }
  return {dx, dw};
}

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  if (!x.is_cpu()) return reference::rms_norm(x, weight, eps);
  AutogradNode node("rms_norm", {x, weight});
  const auto [y, rstd] = rms_norm_forward(x, weight, eps);
  return node.record(y, {x, weight, rstd}, [](const BackwardPass& pass) -> Tensors {
    const at::Tensor &x = pass.saved[0], &weight = pass.saved[1], &rstd = pass.saved[2];
    const auto [dx, dw] = rms_norm_backward(pass.grads[0], x, weight, rstd, pass.wants(1));
    return {dx, dw.defined() ? dw.to(weight.scalar_type()) : dw};
  });
}

}  // namespace morex::ops
