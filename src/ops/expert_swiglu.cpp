#include "ops/expert_swiglu.h"

#include <ATen/Dispatch.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>

#include "base/error.h"
#include "ops/activation_functions.h"
#include "ops/autograd_node.h"
#include "ops/chunks.h"
#include "ops/dense_rows.h"
#include "ops/dropout.h"
#include "ops/expert_swiglu_reference.h"
#include "ops/gemm.h"
#include "ops/vector_loops.h"
#include "ops/wide.h"

namespace morex::ops {
namespace {

struct State {
  ExpertRows rows;
  ExpertSwigluOptions options;
  // Of what goes through a_down: the factor of dropout's mask is in it.
  double down_scale() const { return options.scale * dropout_factor(options.dropout); }
};

// One piece's rows between the products; rows from n on are padding, zero.
struct Gathered {
  at::Tensor tokens;                // [n]
  at::Tensor weight;                // [n] wide
  at::Tensor h_gate, h_up;          // [p, r], scaled
  at::Tensor b_gate, b_up, a_down;  // [r, F]
  at::Tensor u, w;                  // [p, F]: the expert's activation is act(u)·w
};

// The tensors of the node in the order of ExpertSwigluInput, detached, leaves in the activations' dtype.
struct Operands {
  explicit Operands(const Tensors& in)
      : gate(in[0].detach()),
        up(in[1].detach()),
        h_gate(in[2].detach()),
        h_up(in[3].detach()),
        weights(in[4].detach()) {
    const at::ScalarType type = gate.scalar_type();
    b_gate = in[5].detach().to(type), b_up = in[6].detach().to(type), a_down = in[7].detach().to(type);
  }
  at::Tensor gate, up, h_gate, h_up, weights, b_gate, b_up, a_down;
};

// Calls f(i, token) for the rows of a piece in turn, in vectors.
template <typename F>
void for_tokens(const at::Tensor& tokens, const F& f) {
  const int64_t* token = tokens.const_data_ptr<int64_t>();
  const int64_t count = tokens.size(0);
  in_vectors([&]() __attribute__((always_inline)) {
    for (int64_t i = 0; i < count; ++i) f(i, token[i]);
  });
}

// to[i] = scale·factor[i]·from[tokens[i]], of some columns; rows behind the tokens' are zero. `to` is [p, r] of the
// products' type, factor may be null.
template <typename From, typename To>
void take_scaled(const at::Tensor& from, const at::Tensor& tokens, const Wide<To>* factor, double scale,
                 const at::Tensor& to) {
  const int64_t rank = from.size(1), stride = from.stride(0);
  const From* source = from.const_data_ptr<From>();
  To* target = to.mutable_data_ptr<To>();
  for_tokens(
      tokens, [=](int64_t i, int64_t token) __attribute__((always_inline)) {
        const Wide<To> by = static_cast<Wide<To>>(scale) * (factor == nullptr ? Wide<To>(1) : factor[i]);
        const From* row = source + token * stride;
        To* out = target + i * rank;
#pragma omp simd
        for (int64_t j = 0; j < rank; ++j) out[j] = narrow<To>(static_cast<Wide<To>>(widen(row[j])) * by);
      });
}

// to[tokens[i]] = scale·factor[i]·from[i], of some columns.
template <typename From, typename To>
void put_scaled(const at::Tensor& from, const at::Tensor& tokens, const Wide<From>* factor, double scale,
                const at::Tensor& to) {
  const int64_t rank = from.size(1), stride = to.stride(0);
  const From* source = from.const_data_ptr<From>();
  To* target = to.mutable_data_ptr<To>();
  for_tokens(
      tokens, [=](int64_t i, int64_t token) __attribute__((always_inline)) {
        const Wide<From> by = static_cast<Wide<From>>(scale) * (factor == nullptr ? Wide<From>(1) : factor[i]);
        const From* row = source + i * rank;
        To* out = target + token * stride;
#pragma omp simd
        for (int64_t j = 0; j < rank; ++j) out[j] = narrow<To>(widen(row[j]) * by);
      });
}

// f(From(), To()) for an adapter's rows (wide or of the products' type) beside the products' type.
template <typename F>
void with_types(at::ScalarType rows, at::ScalarType products, const F& f) {
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, products, "expert_swiglu", [&] {
    if (rows == products) return f(scalar_t(), scalar_t());
    MOREX_ASSERT(rows == wide_type(products));
    f(Wide<scalar_t>(), scalar_t());
  });
}

at::Tensor scaled_rows(const at::Tensor& from, const Gathered& g, int64_t rows, const at::Tensor& weight, double scale,
                       at::ScalarType type) {
  const int64_t count = g.tokens.size(0);
  const at::Tensor dense = with_dense_rows(from);
  const at::Tensor to = at::empty({rows, from.size(1)}, from.options().dtype(type).requires_grad(false));
  to.narrow(0, count, rows - count).zero_();
  with_types(from.scalar_type(), type, [&]<typename From, typename To>(From, To) {
    take_scaled<From, To>(dense, g.tokens, weight.defined() ? weight.const_data_ptr<Wide<To>>() : nullptr, scale, to);
  });
  return to;
}

void scatter_scaled(const at::Tensor& from, const Gathered& g, const at::Tensor& weight, double scale,
                    const at::Tensor& to) {
  with_types(to.scalar_type(), from.scalar_type(), [&]<typename To, typename From>(To, From) {
    put_scaled<From, To>(from, g.tokens, weight.defined() ? weight.const_data_ptr<Wide<From>>() : nullptr, scale, to);
  });
}

Gathered gather(const Operands& in, const State& state, const ExpertPiece& piece) {
  const at::ScalarType type = in.gate.scalar_type();
  const int64_t experts = static_cast<int64_t>(state.rows.counts.size()), rows = padded_rows(piece.count);
  const int64_t rank = in.b_gate.size(0) / experts, column = piece.expert * rank;
  Gathered g;
  g.tokens = state.rows.tokens.narrow(0, piece.first, piece.count);
  g.weight = in.weights.narrow(0, piece.first, piece.count).to(wide_type(type)).contiguous();
  g.h_gate = scaled_rows(in.h_gate.narrow(1, column, rank), g, rows, {}, state.options.scale, type);
  g.h_up = scaled_rows(in.h_up.narrow(1, column, rank), g, rows, {}, state.options.scale, type);
  g.b_gate = in.b_gate.narrow(0, column, rank);
  g.b_up = in.b_up.narrow(0, column, rank);
  g.a_down = in.a_down.narrow(0, column, rank);
  g.u = take_rows(in.gate, g.tokens, rows), g.w = take_rows(in.up, g.tokens, rows);
  add_matmul_nn(g.u, g.h_gate, g.b_gate);
  add_matmul_nn(g.w, g.h_up, g.b_up);
  return g;
}

// [p, F], zero where backward and forward loops do not write.
at::Tensor activations(const Gathered& g) {
  const at::Tensor a = at::empty_like(g.u);
  const int64_t count = g.tokens.size(0);
  a.narrow(0, count, a.size(0) - count).zero_();
  return a;
}

// a = act(u)·w, and g·a added to the token's row of hidden, or put there first.
template <bool first, typename T, typename Act>
[[gnu::always_inline]] inline void forward_row(const Act& act, const T* u, const T* w, Wide<T> weight, T* a, T* hidden,
                                               int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const Wide<T> value = act(widen(u[i])).value * widen(w[i]);
    a[i] = narrow<T>(value);
    hidden[i] = narrow<T>(first ? value * weight : widen(hidden[i]) + value * weight);
  }
}

// a = act(u)·w; returns its product with the gradient of the token's row of hidden.
template <typename T, typename Act>
[[gnu::always_inline]] inline Wide<T> recompute_row(const Act& act, const T* u, const T* w, const T* d_hidden, T* a,
                                                    int64_t n) {
  Wide<T> dot = 0;
#pragma omp simd reduction(+ : dot)
  for (int64_t i = 0; i < n; ++i) {
    const Wide<T> value = act(widen(u[i])).value * widen(w[i]);
    a[i] = narrow<T>(value);
    dot += widen(d_hidden[i]) * value;
  }
  return dot;
}

// From da = d_a + g·d_hidden: u and w are replaced by their gradients, which are added to the token's rows, or put
// there first.
template <bool first, typename T, typename Act>
[[gnu::always_inline]] inline void backward_row(const Act& act, const T* d_a, const T* d_hidden, Wide<T> weight, T* u,
                                                T* w, T* d_gate, T* d_up, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const auto a = act(widen(u[i]));
    const Wide<T> da = widen(d_a[i]) + widen(d_hidden[i]) * weight;
    const Wide<T> du = da * widen(w[i]) * a.slope, dw = da * a.value;
    u[i] = narrow<T>(du), w[i] = narrow<T>(dw);
    d_gate[i] = narrow<T>(first ? du : widen(d_gate[i]) + du);
    d_up[i] = narrow<T>(first ? dw : widen(d_up[i]) + dw);
  }
}

// Calls f(act, row, token) for the rows of a piece, in vectors; no two rows of a piece are of one token.
template <typename F>
void for_rows(const Gathered& g, Activation activation, const F& f) {
  const int64_t* tokens = g.tokens.const_data_ptr<int64_t>();
  with_activation(activation, [&](auto act) {
    for_chunks(g.tokens.size(0), rows_per_chunk(g.u.size(1)), [&](int64_t begin, int64_t end) {
      in_vectors([&]() __attribute__((always_inline)) {
        for (int64_t row = begin; row < end; ++row) f(act, row, tokens[row]);
      });
    });
  });
}

// [T, F] whose rows the pieces fill, but for those of tokens without a row.
at::Tensor sums_over_rows(const at::Tensor& like, const Visits& visits) {
  const at::Tensor sums = at::empty(like.sizes(), like.options().requires_grad(false));
  for (const int64_t token : visits.missed) sums.select(0, token).zero_();
  return sums;
}

// -> hidden, z
Tensors run_forward(const Tensors& inputs, const State& state) {
  const Operands in(inputs);
  const at::ScalarType type = in.gate.scalar_type();
  const int64_t width = in.gate.size(1);
  const Visits visits = visits_of(state.rows, in.gate.size(0));
  const at::Tensor hidden = sums_over_rows(in.gate, visits);                                // [T, F]
  const at::Tensor z = at::zeros({in.gate.size(0), in.b_gate.size(0)}, in.gate.options());  // [T, E·r]
  for_pieces(state.rows, kExpertSwigluRows, [&](const ExpertPiece& piece) {
    const Gathered g = gather(in, state, piece);
    const at::Tensor a = activations(g);  // [p, F]
    AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, type, "expert_swiglu", [&] {
      const scalar_t *u = g.u.const_data_ptr<scalar_t>(), *w = g.w.const_data_ptr<scalar_t>();
      const auto* weight = g.weight.const_data_ptr<Wide<scalar_t>>();
      const uint8_t* first = visits.first.data() + piece.first;
      scalar_t *as = a.mutable_data_ptr<scalar_t>(), *hs = hidden.mutable_data_ptr<scalar_t>();
      for_rows(
          g, state.options.activation, [=](const auto& act, int64_t row, int64_t token) __attribute__((always_inline)) {
            const int64_t at = row * width;
            scalar_t* h = hs + token * width;
            first[row] != 0 ? forward_row<true>(act, u + at, w + at, weight[row], as + at, h, width)
                            : forward_row<false>(act, u + at, w + at, weight[row], as + at, h, width);
          });
    });
    drop_in_place({a}, state.options.dropout, state.options.key_of(piece.first));
    const at::Tensor t = matmul_nt(a, g.a_down);  // [p, r]
    scatter_scaled(t, g, g.weight, state.down_scale(), z.narrow(1, piece.expert * t.size(1), t.size(1)));
  });
  return {hidden, z};
}

// d_weight[i] += scale·Σ_j dz[tokens[i], j]·t[i, j]
template <typename Z, typename T>
void add_weight_gradients(const at::Tensor& d_z, const at::Tensor& tokens, const at::Tensor& t, double scale,
                          const at::Tensor& d_weight) {
  const int64_t rank = t.size(1), stride = d_z.stride(0);
  const Z* dz = d_z.const_data_ptr<Z>();
  const T* ts = t.const_data_ptr<T>();
  auto* sums = d_weight.mutable_data_ptr<Wide<T>>();
  for_tokens(
      tokens, [=](int64_t i, int64_t token) __attribute__((always_inline)) {
        Wide<T> dot = 0;
        for (int64_t j = 0; j < rank; ++j)
          dot += static_cast<Wide<T>>(widen(dz[token * stride + j])) * widen(ts[i * rank + j]);
        sums[i] += static_cast<Wide<T>>(scale) * dot;
      });
}

Tensors run_backward(const BackwardPass& pass, const State& state) {
  const Operands in(pass.saved);
  const at::ScalarType type = in.gate.scalar_type(), wide = wide_type(type);
  const int64_t width = in.gate.size(1);
  const double scale = state.options.scale;
  const at::Tensor d_hidden = pass.grads[0].contiguous(), d_z = with_dense_rows(pass.grads[1]);

  const Visits visits = visits_of(state.rows, in.gate.size(0));
  const at::Tensor d_gate = sums_over_rows(in.gate, visits), d_up = sums_over_rows(in.gate, visits);
  const at::Tensor d_h_gate = at::zeros(in.h_gate.sizes(), in.h_gate.options());
  const at::Tensor d_h_up = at::zeros(in.h_up.sizes(), in.h_up.options());
  const at::Tensor d_weights = at::zeros(in.weights.sizes(), in.weights.options().dtype(wide));
  const auto leaf_grad = [&](const at::Tensor& leaf) { return at::zeros(leaf.sizes(), leaf.options().dtype(wide)); };
  const at::Tensor d_b_gate = leaf_grad(in.b_gate), d_b_up = leaf_grad(in.b_up), d_a_down = leaf_grad(in.a_down);

  for_pieces(state.rows, kExpertSwigluRows, [&](const ExpertPiece& piece) {
    const Gathered g = gather(in, state, piece);
    const int64_t rank = g.a_down.size(0), column = piece.expert * rank;
    const at::Tensor a = activations(g);                                                      // [p, F]
    const at::Tensor d_weight = d_weights.narrow(0, piece.first, piece.count);                // [n]
    const at::Tensor dz = d_z.narrow(1, column, rank);                                        // [T, r]
    const at::Tensor dt = scaled_rows(dz, g, a.size(0), g.weight, state.down_scale(), type);  // [p, r]
    AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, type, "expert_swiglu_backward", [&] {
      const scalar_t *u = g.u.const_data_ptr<scalar_t>(), *w = g.w.const_data_ptr<scalar_t>();
      const scalar_t* dh = d_hidden.const_data_ptr<scalar_t>();
      scalar_t* as = a.mutable_data_ptr<scalar_t>();
      auto* dots = d_weight.mutable_data_ptr<Wide<scalar_t>>();
      for_rows(
          g, state.options.activation, [=](const auto& act, int64_t row, int64_t token) __attribute__((always_inline)) {
            const int64_t at = row * width;
            dots[row] = recompute_row(act, u + at, w + at, dh + token * width, as + at, width);
          });
    });
    const at::Tensor d_a = matmul_nn(dt, g.a_down);  // [p, F]
    drop_in_place({a, d_a}, state.options.dropout, state.options.key_of(piece.first));
    const at::Tensor t = matmul_nt(a, g.a_down);  // [p, r]
    with_types(dz.scalar_type(), type, [&]<typename Z, typename T>(Z, T) {
      add_weight_gradients<Z, T>(dz, g.tokens, t, state.down_scale(), d_weight);
    });
    add_matmul_tn(d_a_down.narrow(0, column, rank), dt, a);
    AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, type, "expert_swiglu_backward", [&] {
      const scalar_t *da = d_a.const_data_ptr<scalar_t>(), *dh = d_hidden.const_data_ptr<scalar_t>();
      const auto* weight = g.weight.const_data_ptr<Wide<scalar_t>>();
      const uint8_t* first = visits.first.data() + piece.first;
      scalar_t *u = g.u.mutable_data_ptr<scalar_t>(), *w = g.w.mutable_data_ptr<scalar_t>();
      scalar_t *dg = d_gate.mutable_data_ptr<scalar_t>(), *du = d_up.mutable_data_ptr<scalar_t>();
      for_rows(
          g, state.options.activation, [=](const auto& act, int64_t row, int64_t token) __attribute__((always_inline)) {
            const int64_t at = row * width, to = token * width;
            first[row] != 0
                ? backward_row<true>(act, da + at, dh + to, weight[row], u + at, w + at, dg + to, du + to, width)
                : backward_row<false>(act, da + at, dh + to, weight[row], u + at, w + at, dg + to, du + to, width);
          });
    });
    add_matmul_tn(d_b_gate.narrow(0, column, rank), g.h_gate, g.u);
    add_matmul_tn(d_b_up.narrow(0, column, rank), g.h_up, g.w);
    scatter_scaled(matmul_nt(g.u, g.b_gate), g, {}, scale, d_h_gate.narrow(1, column, rank));
    scatter_scaled(matmul_nt(g.w, g.b_up), g, {}, scale, d_h_up.narrow(1, column, rank));
  });
  return {d_gate,
          d_up,
          d_h_gate,
          d_h_up,
          d_weights.to(in.weights.scalar_type()),
          d_b_gate.to(pass.saved[5].scalar_type()),
          d_b_up.to(pass.saved[6].scalar_type()),
          d_a_down.to(pass.saved[7].scalar_type())};
}

}  // namespace

std::pair<at::Tensor, at::Tensor> expert_swiglu(const ExpertSwigluInput& input, const ExpertRows& rows,
                                                const ExpertSwigluOptions& options) {
  MOREX_ASSERT(input.gate.dim() == 2 && input.gate.sizes() == input.up.sizes());
  MOREX_ASSERT(!rows.counts.empty() && input.b_gate.size(0) % static_cast<int64_t>(rows.counts.size()) == 0);
  MOREX_ASSERT(input.h_gate.size(1) == input.b_gate.size(0) && input.weights.size(0) == rows.tokens.size(0));
  if (!input.gate.is_cpu()) return reference::expert_swiglu(input, rows, options);
  const Tensors inputs = {input.gate,    input.up,     input.h_gate, input.h_up,
                          input.weights, input.b_gate, input.b_up,   input.a_down};
  const State state{rows, options};
  AutogradNode node("expert_swiglu", inputs);
  const Tensors out = node.record(run_forward(inputs, state), inputs,
                                  [state](const BackwardPass& pass) { return run_backward(pass, state); });
  return {out[0], out[1]};
}

}  // namespace morex::ops
