#include "ops/swiglu.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mul.h>

#include "base/error.h"
#include "ops/activate.h"
#include "ops/autograd_node.h"
#include "ops/chunks.h"
#include "ops/exponential.h"
#include "ops/vector_loops.h"
#include "ops/wide.h"

namespace morex::ops {
namespace {

// SiLU in float32 and bfloat16 on the processor has loops of its own: one pass, nothing in between.
bool has_loops(const at::Tensor& gate, Activation activation) {
  return activation == Activation::kSilu && gate.is_cpu() && gate.scalar_type() != at::kDouble;
}

at::Tensor with_dense_rows(const at::Tensor& x) { return x.stride(1) == 1 ? x : x.contiguous(); }

[[gnu::always_inline]] inline float sigmoid(float x) { return 1.0f / (1.0f + exponential(-x)); }

template <typename T>
[[gnu::always_inline]] inline void forward_row(const T* g, const T* u, T* y, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const float gate = widen(g[i]);
    y[i] = narrow<T>(gate * sigmoid(gate) * widen(u[i]));
  }
}

template <typename T>
[[gnu::always_inline]] inline void backward_row(const T* dy, const T* g, const T* u, T* dg, T* du, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const float gate = widen(g[i]), grad = widen(dy[i]), s = sigmoid(gate), act = gate * s;
    du[i] = narrow<T>(grad * act);
    dg[i] = narrow<T>(grad * widen(u[i]) * (s + act * (1.0f - s)));
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

template <typename T>
void forward_loops(const at::Tensor& gate, const at::Tensor& up, const at::Tensor& y) {
  const T *g = gate.const_data_ptr<T>(), *u = up.const_data_ptr<T>();
  T* out = y.mutable_data_ptr<T>();
  const int64_t n = y.size(1), g_stride = gate.stride(0), u_stride = up.stride(0);
  for_rows(
      y, [=](int64_t t)
             __attribute__((always_inline)) { forward_row<T>(g + t * g_stride, u + t * u_stride, out + t * n, n); });
}

template <typename T>
void backward_loops(const at::Tensor& dy, const at::Tensor& gate, const at::Tensor& up, const at::Tensor& d_gate,
                    const at::Tensor& d_up) {
  const T *d = dy.const_data_ptr<T>(), *g = gate.const_data_ptr<T>(), *u = up.const_data_ptr<T>();
  T *dg = d_gate.mutable_data_ptr<T>(), *du = d_up.mutable_data_ptr<T>();
  const int64_t n = d_gate.size(1), d_stride = dy.stride(0), g_stride = gate.stride(0), u_stride = up.stride(0);
  for_rows(
      d_gate, [=](int64_t t) __attribute__((always_inline)) {
        backward_row<T>(d + t * d_stride, g + t * g_stride, u + t * u_stride, dg + t * n, du + t * n, n);
      });
}

Tensors swiglu_backward(const BackwardPass& pass, Activation activation) {
  at::Tensor g = pass.saved[0].detach(), u = pass.saved[1].detach(), dy = pass.grads[0].detach();
  const at::Tensor dg = at::empty(g.sizes(), g.options()), du = at::empty(g.sizes(), g.options());  // [T, F]
  if (has_loops(g, activation)) {
    g = with_dense_rows(g), u = with_dense_rows(u), dy = with_dense_rows(dy);
    g.scalar_type() == at::kFloat ? backward_loops<float>(dy, g, u, dg, du)
                                  : backward_loops<at::BFloat16>(dy, g, u, dg, du);
    return {dg, du};
  }
  const at::ScalarType wide = wide_type(g.scalar_type());
  for_chunks(g.size(0), rows_per_chunk(g.size(1)), [&](int64_t begin, int64_t end) {
    const at::Tensor gate = g.slice(0, begin, end).to(wide), grad = dy.slice(0, begin, end).to(wide);
    du.slice(0, begin, end).copy_(activate(gate, activation).mul_(grad));
    dg.slice(0, begin, end).copy_(activation_backward(grad.mul(u.slice(0, begin, end)), gate, activation));
  });
  return {dg, du};
}

void swiglu_forward(const at::Tensor& g, const at::Tensor& u, const at::Tensor& y, Activation activation) {
  if (has_loops(g, activation)) {
    const at::Tensor gate = with_dense_rows(g), up = with_dense_rows(u);
    g.scalar_type() == at::kFloat ? forward_loops<float>(gate, up, y) : forward_loops<at::BFloat16>(gate, up, y);
    return;
  }
  const at::ScalarType wide = wide_type(g.scalar_type());
  for_chunks(g.size(0), rows_per_chunk(g.size(1)), [&](int64_t begin, int64_t end) {
    const at::Tensor act = activate(g.slice(0, begin, end).to(wide), activation);
    y.slice(0, begin, end).copy_(act.mul(u.slice(0, begin, end)));
  });
}

}  // namespace

at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up, Activation activation) {
  MOREX_ASSERT(gate.dim() == 2 && gate.sizes() == up.sizes() && gate.scalar_type() == up.scalar_type());
  AutogradNode node("swiglu", {gate, up});
  const at::Tensor y = at::empty(gate.sizes(), gate.options().requires_grad(false));  // [T, F]
  swiglu_forward(gate.detach(), up.detach(), y, activation);
  return node.record(y, {gate, up},
                     [activation](const BackwardPass& pass) { return swiglu_backward(pass, activation); });
}

}  // namespace morex::ops
