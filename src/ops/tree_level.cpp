// With u = h + a the experts' part is c·(B·h) + (c·(B·a + b) + w): the bracket is formed once per expert, the products
// once per chosen node. Gradients of B are summed per piece of tokens and then over the pieces, in order.
#include "ops/tree_level.h"

#include <ATen/Dispatch.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/zeros.h>

#include "base/error.h"
#include "ops/autograd_node.h"
#include "ops/dense_rows.h"
#include "ops/gemm.h"
#include "ops/token_pieces.h"
#include "ops/tree_activation.h"

namespace morex::ops {
namespace {

struct Sizes {
  int64_t tokens, nodes, fan;  // nodes: P·f of one token
  int64_t experts, rank, wide;
};

Sizes sizes_of(const at::Tensor& alpha, const at::Tensor& b) {
  return {alpha.size(0), alpha.size(1) * alpha.size(2), alpha.size(2), b.size(0), b.size(2), b.size(1)};
}

// y += Σ_q h_q·b_q, b [r, n].
template <typename T>
[[gnu::always_inline]] inline void add_product(T* __restrict y, const T* h, const T* __restrict b, int64_t rank,
                                               int64_t n) {
  int64_t q = 0;
  for (; q + 4 <= rank; q += 4) {
    const T h0 = h[q], h1 = h[q + 1], h2 = h[q + 2], h3 = h[q + 3];
    const T *b0 = b + q * n, *b1 = b0 + n, *b2 = b1 + n, *b3 = b2 + n;
#pragma omp simd
    for (int64_t k = 0; k < n; ++k) y[k] += (h0 * b0[k] + h1 * b1[k]) + (h2 * b2[k] + h3 * b3[k]);
  }
  for (; q < rank; ++q) {
    const T h0 = h[q];
    const T* b0 = b + q * n;
#pragma omp simd
    for (int64_t k = 0; k < n; ++k) y[k] += h0 * b0[k];
  }
}

// x += α·σ(y), σ(y) into y.
template <typename T, typename Act>
[[gnu::always_inline]] inline void activate_row(const Act& act, T* __restrict y, T* __restrict x, T alpha, int64_t n) {
#pragma omp simd
  for (int64_t k = 0; k < n; ++k) {
    const T value = act.value(y[k]);
    y[k] = value;
    x[k] += alpha * value;
  }
}

// dv = α·dx·σ', dv also added to `sum`; returns dx·σ.
template <typename T, typename Act>
[[gnu::always_inline]] inline T differentiate_row(const Act& act, const T* y, const T* dx, T alpha, T* __restrict dv,
                                                  T* __restrict sum, int64_t n) {
  T dot = 0;
#pragma omp simd reduction(+ : dot)
  for (int64_t k = 0; k < n; ++k) {
    dot += dx[k] * y[k];
    const T d = alpha * dx[k] * act.slope(y[k]);
    dv[k] = d;
    sum[k] += d;
  }
  return dot;
}

// db += h·dv; returns dv·b.
template <typename T>
[[gnu::always_inline]] inline T differentiate_product(const T* dv, const T* b, T h, T* __restrict db, int64_t n) {
  T dot = 0;
#pragma omp simd reduction(+ : dot)
  for (int64_t k = 0; k < n; ++k) {
    dot += dv[k] * b[k];
    db[k] += h * dv[k];
  }
  return dot;
}

template <typename T, typename Act>
struct Loops {
  Sizes size;
  Act act;
  const T* h;
  int64_t h_stride;
  const T* alpha;
  const int64_t* ids;
  const T* bt;  // [s, r, d'] scaled

  // y [T·nodes, d'] holds W·below (bottom: zeros) and becomes σ(…); x [T·P, d'].
  [[gnu::always_inline]] void forward(int64_t begin, int64_t end, const T* bias, T* y, T* x) const {
    const int64_t wide = size.wide, rank = size.rank;
    for (int64_t n = begin * size.nodes; n < end * size.nodes; ++n) {
      const int64_t t = n / size.nodes, i = ids[n];
      T* row = y + n * wide;
      const T* constant = bias + i * wide;
#pragma omp simd
      for (int64_t k = 0; k < wide; ++k) row[k] += constant[k];
      add_product(row, h + t * h_stride + i * rank, bt + i * rank * wide, rank, wide);
      activate_row(act, row, x + n / size.fan * wide, alpha[n], wide);
    }
  }

  // db [s, r, d'] and dbias [s, d'] of these tokens alone; dh [T, s·r] starts at zero.
  [[gnu::always_inline]] void backward(int64_t begin, int64_t end, const T* y, const T* dx, T* dv, T* dh, T* d_alpha,
                                       T* db, T* dbias) const {
    const int64_t wide = size.wide, rank = size.rank, rows = size.experts * rank;
    for (int64_t n = begin * size.nodes; n < end * size.nodes; ++n) {
      const int64_t t = n / size.nodes, i = ids[n], first = i * rank;
      T* d = dv + n * wide;
      d_alpha[n] = differentiate_row(act, y + n * wide, dx + n / size.fan * wide, alpha[n], d, dbias + i * wide, wide);
      for (int64_t q = 0; q < rank; ++q)
        dh[t * rows + first + q] += differentiate_product(d, bt + (first + q) * wide, h[t * h_stride + first + q],
                                                          db + (first + q) * wide, wide);
    }
  }
};

template <typename T, typename Act>
Loops<T, Act> make_loops(const Act& act, const Sizes& size, const at::Tensor& h, const at::Tensor& alpha,
                         const at::Tensor& ids, const at::Tensor& bt) {
  return {size,
          act,
          h.const_data_ptr<T>(),
          h.stride(0),
          alpha.const_data_ptr<T>(),
          ids.const_data_ptr<int64_t>(),
          bt.const_data_ptr<T>()};
}

at::Tensor scaled_transpose(const at::Tensor& b, double scale) { return (b * scale).transpose(1, 2).contiguous(); }

Tensors backward_of(const BackwardPass& pass, double scale, TreeActivation activation) {
  const at::Tensor h = with_dense_rows(pass.saved[0].detach()), a_bias = pass.saved[1].detach();
  const at::Tensor b = pass.saved[2].detach(), alpha = pass.saved[3].detach().contiguous(), &ids = pass.saved[4];
  const at::Tensor &below = pass.saved[5], &w = pass.saved[6], y = pass.saved[7].detach();
  const at::Tensor dx = pass.grads[0].contiguous();
  const Sizes size = sizes_of(alpha, b);
  const int64_t pieces = token_pieces(size.tokens), rows = size.experts * size.rank;
  const at::TensorOptions like = h.options().requires_grad(false);
  const at::Tensor bt = scaled_transpose(b, scale);            // [s, r, d']
  const at::Tensor dv = at::empty(y.sizes(), like);            // [T·P·f, d']
  const at::Tensor dh = at::zeros({size.tokens, rows}, like);  // [T, s·r]
  const at::Tensor d_alpha = at::empty(alpha.sizes(), like);   // [T, P, f]
  at::Tensor db = at::zeros({pieces, rows, size.wide}, like);  // summed over the pieces below
  at::Tensor dbias = at::zeros({pieces, size.experts, size.wide}, like);
  AT_DISPATCH_FLOATING_TYPES(h.scalar_type(), "tree_level_backward", [&] {
    const scalar_t *ys = y.const_data_ptr<scalar_t>(), *dxs = dx.const_data_ptr<scalar_t>();
    scalar_t *dvs = dv.mutable_data_ptr<scalar_t>(), *dhs = dh.mutable_data_ptr<scalar_t>();
    scalar_t *das = d_alpha.mutable_data_ptr<scalar_t>(), *dbs = db.mutable_data_ptr<scalar_t>();
    scalar_t* dbiases = dbias.mutable_data_ptr<scalar_t>();
    with_activation(activation, [&](auto act) {
      const auto loops = make_loops<scalar_t>(act, size, h, alpha, ids, bt);
      for_pieces(
          size.tokens, [=](int64_t begin, int64_t end) __attribute__((always_inline)) {
            const int64_t piece = begin / kPieceTokens;
            loops.backward(begin, end, ys, dxs, dvs, dhs, das, dbs + piece * rows * size.wide,
                           dbiases + piece * size.experts * size.wide);
          });
    });
  });
  dbias = dbias.sum(0);                                                          // [s, d']
  db = db.sum(0).view({size.experts, size.rank, size.wide});                     // [s, r, d'], of h alone
  db = (db + a_bias.unsqueeze(2) * dbias.unsqueeze(1)).transpose(1, 2) * scale;  // [s, d', r], of h + a
  const at::Tensor da_bias = dh.sum(0).view({size.experts, size.rank});
  at::Tensor d_below, dw, dw_bias;
  if (below.defined()) {
    d_below = matmul_nn(dv, w.detach());
    dw = matmul_tn(dv, below.detach());
    dw_bias = dbias.sum(0);
  }
  return {dh, da_bias, db, dbias * scale, d_below, dw, dw_bias, d_alpha};
}

}  // namespace

at::Tensor tree_level(const TreeLevelInput& in, double scale, TreeActivation activation) {
  MOREX_ASSERT(in.h.dim() == 2 && in.b.dim() == 3 && in.alpha.dim() == 3 && in.alpha.sizes() == in.ids.sizes());
  MOREX_ASSERT(in.h.size(1) == in.b.size(0) * in.b.size(2) && in.h.size(0) == in.alpha.size(0));
  AutogradNode node("tree_level", {in.h, in.a_bias, in.b, in.b_bias, in.below, in.w, in.w_bias, in.alpha});
  const at::Tensor h = with_dense_rows(in.h.detach()), alpha = in.alpha.detach().contiguous();
  const at::Tensor ids = in.ids.contiguous();
  const Sizes size = sizes_of(alpha, in.b);
  const at::TensorOptions like = h.options().requires_grad(false);
  const at::Tensor bt = scaled_transpose(in.b.detach(), scale);  // [s, r, d']
  at::Tensor bias = at::matmul(in.a_bias.detach().unsqueeze(1), bt).squeeze(1) + in.b_bias.detach() * scale;
  if (in.below.defined()) bias = bias + in.w_bias.detach();
  bias = bias.contiguous();                // [s, d']
  const at::Tensor y = in.below.defined()  // [T·P·f, d']
                           ? matmul_nt(in.below.detach().contiguous(), in.w.detach())
                           : at::zeros({size.tokens * size.nodes, size.wide}, like);
  const at::Tensor x = at::zeros({size.tokens * alpha.size(1), size.wide}, like);  // [T·P, d']
  AT_DISPATCH_FLOATING_TYPES(h.scalar_type(), "tree_level", [&] {
    const scalar_t* biases = bias.const_data_ptr<scalar_t>();
    scalar_t *ys = y.mutable_data_ptr<scalar_t>(), *xs = x.mutable_data_ptr<scalar_t>();
    with_activation(activation, [&](auto act) {
      const auto loops = make_loops<scalar_t>(act, size, h, alpha, ids, bt);
      for_pieces(
          size.tokens, [=](int64_t begin, int64_t end)
                           __attribute__((always_inline)) { loops.forward(begin, end, biases, ys, xs); });
    });
  });
  return node.record(x, {in.h, in.a_bias, in.b, in.alpha, ids, in.below, in.w, y},
                     [scale, activation](const BackwardPass& pass) { return backward_of(pass, scale, activation); });
}

}  // namespace morex::ops
