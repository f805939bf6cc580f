// With u = h + a the experts' part is c·(B·h) + (c·(B·a + b) + w): the bracket is formed once per expert, the products
// once per chosen node. Gradients of B are summed per piece of tokens and then over the pieces, in order.
#include "ops/tree_level.h"

#include <ATen/Dispatch.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "ops/autograd_node.h"
#include "ops/dense_rows.h"
#include "ops/gemm.h"
#include "ops/token_pieces.h"
#include "ops/tree_activation.h"
#include "ops/tree_reference.h"

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

// x += α·σ(y), or x = α·σ(y) where the sum begins; σ(y) into y.
template <bool begins, typename T, typename Act>
[[gnu::always_inline]] inline void activate_row(const Act& act, T* __restrict y, T* __restrict x, T alpha, int64_t n) {
#pragma omp simd
  for (int64_t k = 0; k < n; ++k) {
    const T value = act.value(y[k]);
    y[k] = value;
    x[k] = begins ? alpha * value : x[k] + alpha * value;
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

// One register of numbers.
template <typename T>
struct LanesOf {
  typedef T Type __attribute__((vector_size(64), aligned(alignof(T)), may_alias));
};
template <typename T>
using Lanes = typename LanesOf<T>::Type;
template <typename T>
inline constexpr int64_t kLanes = static_cast<int64_t>(64 / sizeof(T));

// The chosen nodes of a piece that chose one expert.
template <typename T>
struct ExpertNodes {
  struct Node {
    const T* h;   // [r]
    const T* dv;  // [d']
    T* dh;        // [r]
  };
  std::vector<Node> nodes;
};

// db[q0 + q, k0 + k] += Σ h_q·dv_k over the nodes, for Q rows q and K registers of k.
template <int Q, int K, typename T>
[[gnu::always_inline]] inline void outer_tile(const ExpertNodes<T>& of, int64_t q0, int64_t k0, T* db, int64_t wide) {
  Lanes<T> sum[Q][K] = {};
  for (const auto& node : of.nodes) {
#pragma GCC unroll 2
    for (int k = 0; k < K; ++k) {
      const auto d = *reinterpret_cast<const Lanes<T>*>(node.dv + k0 + k * kLanes<T>);
#pragma GCC unroll 4
      for (int q = 0; q < Q; ++q) sum[q][k] += node.h[q0 + q] * d;
    }
  }
#pragma GCC unroll 4
  for (int q = 0; q < Q; ++q)
#pragma GCC unroll 2
    for (int k = 0; k < K; ++k) *reinterpret_cast<Lanes<T>*>(db + (q0 + q) * wide + k0 + k * kLanes<T>) += sum[q][k];
}

template <int Q, typename T>
[[gnu::always_inline]] inline void outer_rows(const ExpertNodes<T>& of, int64_t q0, T* db, int64_t wide) {
  int64_t k = 0;
  for (; k + 2 * kLanes<T> <= wide; k += 2 * kLanes<T>) outer_tile<Q, 2>(of, q0, k, db, wide);
  for (; k + kLanes<T> <= wide; k += kLanes<T>) outer_tile<Q, 1>(of, q0, k, db, wide);
  if (k == wide) return;
  for (const auto& node : of.nodes)
    for (int64_t q = q0; q < q0 + Q; ++q)
      for (int64_t rest = k; rest < wide; ++rest) db[q * wide + rest] += node.h[q] * node.dv[rest];
}

// db [r, d'] += Σ h ⊗ dv over the nodes.
template <typename T>
[[gnu::always_inline]] inline void add_outer_products(const ExpertNodes<T>& of, T* db, int64_t rank, int64_t wide) {
  int64_t q = 0;
  for (; q + 4 <= rank; q += 4) outer_rows<4>(of, q, db, wide);
  for (; q < rank; ++q) outer_rows<1>(of, q, db, wide);
}

// dh += dv·b of N nodes from `first` on, b [d', padded] with rows of whole registers.
template <int N, typename T>
[[gnu::always_inline]] inline void back_through(const ExpertNodes<T>& of, size_t first, const T* b, int64_t padded,
                                                int64_t rank, int64_t wide) {
  const auto* nodes = of.nodes.data() + first;
  for (int64_t q0 = 0; q0 < rank; q0 += kLanes<T>) {
    Lanes<T> sum[N] = {};
    for (int64_t k = 0; k < wide; ++k) {
      const auto row = *reinterpret_cast<const Lanes<T>*>(b + k * padded + q0);
#pragma GCC unroll 4
      for (int n = 0; n < N; ++n) sum[n] += nodes[n].dv[k] * row;
    }
    const int64_t count = std::min(kLanes<T>, rank - q0);
    for (int n = 0; n < N; ++n)
      for (int64_t q = 0; q < count; ++q) nodes[n].dh[q0 + q] += sum[n][q];
  }
}

template <typename T>
[[gnu::always_inline]] inline void back_through_all(const ExpertNodes<T>& of, const T* b, int64_t padded, int64_t rank,
                                                    int64_t wide) {
  size_t n = 0;
  for (; n + 4 <= of.nodes.size(); n += 4) back_through<4>(of, n, b, padded, rank, wide);
  for (; n < of.nodes.size(); ++n) back_through<1>(of, n, b, padded, rank, wide);
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

  // y [T·nodes, d'] holds W·below (at the bottom: nothing yet) and becomes σ(…); x [T·P, d'].
  [[gnu::always_inline]] void forward(int64_t begin, int64_t end, bool bottom, const T* bias, T* y, T* x) const {
    const int64_t wide = size.wide, rank = size.rank;
    for (int64_t n = begin * size.nodes; n < end * size.nodes; ++n) {
      const int64_t t = n / size.nodes, i = ids[n];
      T *row = y + n * wide, *sum = x + n / size.fan * wide;
      const T* constant = bias + i * wide;
      if (bottom) {
        std::copy(constant, constant + wide, row);
      } else {
#pragma omp simd
        for (int64_t k = 0; k < wide; ++k) row[k] += constant[k];
      }
      add_product(row, h + t * h_stride + i * rank, bt + i * rank * wide, rank, wide);
      n % size.fan == 0 ? activate_row<true>(act, row, sum, alpha[n], wide)
                        : activate_row<false>(act, row, sum, alpha[n], wide);
    }
  }

  // db [s, r, d'] and dbias [s, d'] of these tokens alone; dh [T, s·r]; b [s, d', padded] scaled.
  [[gnu::always_inline]] void backward(int64_t begin, int64_t end, const T* y, const T* dx, T* dv, T* dh, T* d_alpha,
                                       T* db, T* dbias, const T* b, int64_t padded,
                                       std::vector<ExpertNodes<T>>& by_expert) const {
    const int64_t wide = size.wide, rank = size.rank, rows = size.experts * rank;
    std::fill(dh + begin * rows, dh + end * rows, T(0));
    std::fill(db, db + rows * wide, T(0));
    std::fill(dbias, dbias + size.experts * wide, T(0));
    for (ExpertNodes<T>& of : by_expert) of.nodes.reserve(static_cast<size_t>((end - begin) * size.nodes));
    for (int64_t n = begin * size.nodes; n < end * size.nodes; ++n) {
      const int64_t t = n / size.nodes, i = ids[n];
      T* d = dv + n * wide;
      d_alpha[n] = differentiate_row(act, y + n * wide, dx + n / size.fan * wide, alpha[n], d, dbias + i * wide, wide);
      by_expert[static_cast<size_t>(i)].nodes.push_back({h + t * h_stride + i * rank, d, dh + t * rows + i * rank});
    }
    for (int64_t i = 0; i < size.experts; ++i) {
      const ExpertNodes<T>& of = by_expert[static_cast<size_t>(i)];
      add_outer_products(of, db + i * rank * wide, rank, wide);
      back_through_all(of, b + i * wide * padded, padded, rank, wide);
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
  const at::Tensor bt = scaled_transpose(b, scale);  // [s, r, d']
  const int64_t lanes = 64 / h.element_size(), padded = (size.rank + lanes - 1) / lanes * lanes;
  const at::Tensor wide_b = at::constant_pad_nd(b * scale, {0, padded - size.rank}).contiguous();  // [s, d', padded]
  const at::Tensor dv = at::empty(y.sizes(), like);                                                // [T·P·f, d']
  const at::Tensor dh = at::zeros({size.tokens, rows}, like);                                      // [T, s·r]
  const at::Tensor d_alpha = at::empty(alpha.sizes(), like);                                       // [T, P, f]
  at::Tensor db = at::empty({pieces, rows, size.wide}, like);  // summed over the pieces below
  at::Tensor dbias = at::empty({pieces, size.experts, size.wide}, like);
  AT_DISPATCH_FLOATING_TYPES(h.scalar_type(), "tree_level_backward", [&] {
    const scalar_t *ys = y.const_data_ptr<scalar_t>(), *dxs = dx.const_data_ptr<scalar_t>();
    scalar_t *dvs = dv.mutable_data_ptr<scalar_t>(), *dhs = dh.mutable_data_ptr<scalar_t>();
    scalar_t *das = d_alpha.mutable_data_ptr<scalar_t>(), *dbs = db.mutable_data_ptr<scalar_t>();
    scalar_t* dbiases = dbias.mutable_data_ptr<scalar_t>();
    const scalar_t* bs = wide_b.const_data_ptr<scalar_t>();
    with_activation(activation, [&](auto act) {
      const auto loops = make_loops<scalar_t>(act, size, h, alpha, ids, bt);
      for_pieces(
          size.tokens, [=](int64_t begin, int64_t end) __attribute__((always_inline)) {
            const int64_t piece = begin / kPieceTokens;
            std::vector<ExpertNodes<scalar_t>> by_expert(static_cast<size_t>(size.experts));
            loops.backward(begin, end, ys, dxs, dvs, dhs, das, dbs + piece * rows * size.wide,
                           dbiases + piece * size.experts * size.wide, bs, padded, by_expert);
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

// Of a level's forward pass.
struct Formed {
  at::Tensor x;  // [T·P, d']
  at::Tensor y;  // [T·P·f, d'] σ(…)
};

Formed forward(const TreeLevelInput& in, const TreeLevelTables& tables, TreeActivation activation) {
  const at::Tensor h = with_dense_rows(unrecorded(in.h)), alpha = unrecorded(in.alpha).contiguous();
  const at::Tensor ids = in.ids.contiguous();
  const Sizes size = sizes_of(alpha, in.b);
  const at::TensorOptions like = h.options().requires_grad(false);
  const bool bottom = !in.below.defined();
  const at::Tensor y = bottom ? at::empty({size.tokens * size.nodes, size.wide}, like)
                              : matmul_nt(unrecorded(in.below).contiguous(), unrecorded(in.w));
  const at::Tensor x = at::empty({size.tokens * alpha.size(1), size.wide}, like);
  AT_DISPATCH_FLOATING_TYPES(h.scalar_type(), "tree_level", [&] {
    const scalar_t* biases = tables.bias.const_data_ptr<scalar_t>();
    scalar_t *ys = y.mutable_data_ptr<scalar_t>(), *xs = x.mutable_data_ptr<scalar_t>();
    with_activation(activation, [&](auto act) {
      const auto loops = make_loops<scalar_t>(act, size, h, alpha, ids, tables.b);
      for_pieces(
          size.tokens, [=](int64_t begin, int64_t end)
                           __attribute__((always_inline)) { loops.forward(begin, end, bottom, biases, ys, xs); });
    });
  });
  return {x, y};
}

void check(const TreeLevelInput& in) {
  MOREX_ASSERT(in.h.dim() == 2 && in.b.dim() == 3 && in.alpha.dim() == 3 && in.alpha.sizes() == in.ids.sizes());
  MOREX_ASSERT(in.h.size(1) == in.b.size(0) * in.b.size(2) && in.h.size(0) == in.alpha.size(0));
}

}  // namespace

TreeLevelTables tree_level_tables(const TreeLevelInput& in, double scale) {
  const at::NoGradGuard no_grad;
  const at::Tensor b = scaled_transpose(in.b.detach(), scale);
  at::Tensor bias = at::matmul(in.a_bias.detach().unsqueeze(1), b).squeeze(1) + in.b_bias.detach() * scale;
  if (in.w_bias.defined()) bias = bias + in.w_bias.detach();
  return {b, bias.contiguous()};
}

at::Tensor tree_level(const TreeLevelInput& in, double scale, TreeActivation activation) {
  check(in);
  if (!in.h.is_cpu()) return reference::tree_level(in, scale, activation);
  AutogradNode node("tree_level", {in.h, in.a_bias, in.b, in.b_bias, in.below, in.w, in.w_bias, in.alpha});
  const Formed formed = forward(in, tree_level_tables(in, scale), activation);
  return node.record(formed.x, {in.h, in.a_bias, in.b, in.alpha, in.ids.contiguous(), in.below, in.w, formed.y},
                     [scale, activation](const BackwardPass& pass) { return backward_of(pass, scale, activation); });
}

at::Tensor tree_level(const TreeLevelInput& in, const TreeLevelTables& tables, TreeActivation activation) {
  check(in);
  MOREX_ASSERT(in.h.is_cpu() && !at::GradMode::is_enabled());
  const TimedScope timed("tree_level");
  return forward(in, tables, activation).x;
}

}  // namespace morex::ops
