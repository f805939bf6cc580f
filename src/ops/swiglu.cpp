#include "ops/swiglu.h"

#include <ATen/Dispatch.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include "base/error.h"
#include "ops/activation_functions.h"
#include "ops/autograd_node.h"
#include "ops/chunks.h"
#include "ops/dense_rows.h"
#include "ops/swiglu_reference.h"
#include "ops/vector_loops.h"
#include "ops/wide.h"

namespace morex::ops {
namespace {

template <typename T, typename Act>
[[gnu::always_inline]] inline void forward_row(const Act& act, const T* g, const T* u, T* y, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) y[i] = narrow<T>(act(widen(g[i])).value * widen(u[i]));
}

template <typename T, typename Act>
[[gnu::always_inline]] inline void backward_row(const Act& act, const T* dy, const T* g, const T* u, T* dg, T* du,
                                                int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const auto a = act(widen(g[i]));
    const auto grad = widen(dy[i]);
    du[i] = narrow<T>(grad * a.value);
    dg[i] = narrow<T>(grad * widen(u[i]) * a.slope);
  }
}

// Calls f(row) for every row of a tensor [T, F], in vectors.
template <typename F>
void for_rows(const at::Tensor& like, const F& f) {
  for_chunks(like.size(0), rows_per_chunk(like.size(1)), [&](int64_t begin, int64_t end) {
    in_vectors([&]() __attribute__((always_inline)) {
      for (int64_t t = begin; t < end; ++t) f(t);
    });
  });
}

Tensors swiglu_backward(const BackwardPass& pass, Activation activation) {
  const at::Tensor gate = with_dense_rows(pass.saved[0].detach()), up = with_dense_rows(pass.saved[1].detach());
  const at::Tensor dy = with_dense_rows(pass.grads[0].detach());
  const at::Tensor d_gate = at::empty(gate.sizes(), gate.options()), d_up = at::empty(gate.sizes(), gate.options());
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, gate.scalar_type(), "swiglu_backward", [&] {
    const scalar_t *d = dy.const_data_ptr<scalar_t>(), *g = gate.const_data_ptr<scalar_t>();
    const scalar_t* u = up.const_data_ptr<scalar_t>();
    scalar_t *dg = d_gate.mutable_data_ptr<scalar_t>(), *du = d_up.mutable_data_ptr<scalar_t>();
    const int64_t n = gate.size(1), d_stride = dy.stride(0), g_stride = gate.stride(0), u_stride = up.stride(0);
    with_activation(activation, [&](auto act) {
      for_rows(
          gate, [=](int64_t t) __attribute__((always_inline)) {
            backward_row(act, d + t * d_stride, g + t * g_stride, u + t * u_stride, dg + t * n, du + t * n, n);
          });
    });
  });
  return {d_gate, d_up};
}

at::Tensor swiglu_forward(const at::Tensor& gate_in, const at::Tensor& up_in, Activation activation) {
  const at::Tensor gate = with_dense_rows(gate_in.detach()), up = with_dense_rows(up_in.detach());
  const at::Tensor y = at::empty(gate.sizes(), gate.options());  // [T, F]
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, gate.scalar_type(), "swiglu", [&] {
    const scalar_t *g = gate.const_data_ptr<scalar_t>(), *u = up.const_data_ptr<scalar_t>();
    scalar_t* out = y.mutable_data_ptr<scalar_t>();
    const int64_t n = gate.size(1), g_stride = gate.stride(0), u_stride = up.stride(0);
    with_activation(activation, [&](auto act) {
      for_rows(
          gate, [=](int64_t t) __attribute__((always_inline)) {
            forward_row(act, g + t * g_stride, u + t * u_stride, out + t * n, n);
          });
    });
  });
  return y;
}

}  // namespace

at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up, Activation activation) {
  MOREX_ASSERT(gate.dim() == 2 && gate.sizes() == up.sizes() && gate.scalar_type() == up.scalar_type());
  if (!gate.is_cpu()) return reference::swiglu(gate, up, activation);
  AutogradNode node("swiglu", {gate, up});
  const at::Tensor y = swiglu_forward(gate, up, activation);
  if (worth_remaking(gate))
    node.remakes(0, [activation](const Tensors& saved) { return swiglu_forward(saved[0], saved[1], activation); });
  return node.record(y, {gate, up},
                     [activation](const BackwardPass& pass) { return swiglu_backward(pass, activation); });
}

}  // namespace morex::ops
