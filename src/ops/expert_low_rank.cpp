#include "ops/expert_low_rank.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include "base/error.h"
#include "ops/autograd_node.h"
#include "ops/gemm.h"
#include "ops/wide.h"

namespace morex::ops {
namespace {

// Rows of one expert that are worked on at a time: [2048, 4096] float32 are 32 MiB.
constexpr int64_t kRows = 2048;

// One piece's operands: rows of a full-size tensor are taken as they are where the piece holds every token, else padded
// with zeros.
struct PieceRows {
  PieceRows(const ExpertRows& rows, const ExpertPiece& piece, int64_t total)
      : all(piece.count == total),
        count(piece.count),
        padded(all ? count : padded_rows(count)),
        tokens(rows.tokens.narrow(0, piece.first, piece.count)) {}
  at::Tensor of(const at::Tensor& x) const { return all ? x : take_rows(x, tokens, padded); }
  // rows [n, …] of this piece alone -> [padded, …]
  at::Tensor pad(const at::Tensor& rows) const {
    return padded == count ? rows : at::constant_pad_nd(rows, {0, 0, 0, padded - count});
  }
  at::Tensor cut(const at::Tensor& rows) const { return rows.narrow(0, 0, count); }

  bool all;
  int64_t count, padded;
  at::Tensor tokens;  // [n]
};

// Forward: y changes, h [N, r] in the products' dtype is what remains.
at::Tensor run_forward(const at::Tensor& y, const at::Tensor& x, const at::Tensor& weights, const at::Tensor& a,
                       const at::Tensor& b, const ExpertRows& rows) {
  const at::ScalarType type = y.scalar_type(), wide = wide_type(type);
  const int64_t rank = a.size(0) / static_cast<int64_t>(rows.counts.size());
  const at::Tensor h = at::empty({rows.tokens.size(0), rank}, x.options().requires_grad(false));
  for_pieces(rows, kRows, [&](const ExpertPiece& piece) {
    const PieceRows part(rows, piece, x.size(0));
    const int64_t row = piece.expert * rank;
    const at::Tensor a_e = a.narrow(0, row, rank).to(type),
                     b_e = b.narrow(0, row, rank).to(type);       // of chosen experts only
    const at::Tensor h_e = part.cut(matmul_nt(part.of(x), a_e));  // [n, r]
    h.narrow(0, piece.first, piece.count).copy_(h_e);
    const at::Tensor weight = weights.narrow(0, piece.first, piece.count).unsqueeze(1);
    const at::Tensor z = part.pad((h_e.to(wide) * weight).to(type));
    if (part.all) {
      add_matmul_nn(y, z, b_e);
    } else {
      add_rows(y, part.tokens, matmul_nn(z, b_e));
    }
  });
  return h;
}

Tensors run_backward(const BackwardPass& pass, const ExpertRows& rows) {
  const at::Tensor &x = pass.saved[0], &weights = pass.saved[1], &h = pass.saved[4], &dy = pass.grads[0];
  const at::ScalarType type = dy.scalar_type(), wide = wide_type(type);
  const at::Tensor a = pass.saved[2].detach(), b = pass.saved[3].detach();
  const int64_t rank = a.size(0) / static_cast<int64_t>(rows.counts.size());
  at::Tensor dx, dw, da, db;
  if (pass.wants(1)) dx = at::zeros(x.sizes(), dy.options());
  if (pass.wants(2)) dw = at::empty(weights.sizes(), weights.options().requires_grad(false));
  if (pass.wants(3)) da = at::zeros(a.sizes(), dy.options().dtype(wide));
  if (pass.wants(4)) db = at::zeros(b.sizes(), dy.options().dtype(wide));
  for_pieces(rows, kRows, [&](const ExpertPiece& piece) {
    const PieceRows part(rows, piece, x.size(0));
    const int64_t row = piece.expert * rank;
    const at::Tensor a_e = a.narrow(0, row, rank).to(type), b_e = b.narrow(0, row, rank).to(type);
    const at::Tensor weight = weights.detach().narrow(0, piece.first, piece.count).unsqueeze(1);
    const at::Tensor h_e = h.narrow(0, piece.first, piece.count).to(wide);  // [n, r]
    const at::Tensor dy_e = part.of(dy);                                    // [padded, out]
    const at::Tensor dz = part.cut(matmul_nt(dy_e, b_e)).to(wide);          // [n, r]
    if (db.defined()) add_matmul_tn(db.narrow(0, row, rank), part.pad((h_e * weight).to(type)), dy_e);
    if (dw.defined()) dw.narrow(0, piece.first, piece.count).copy_((dz * h_e).sum(1));
    const at::Tensor dh = part.pad((dz * weight).to(type));  // [padded, r]
    if (da.defined()) add_matmul_tn(da.narrow(0, row, rank), dh, part.of(x));
    if (!dx.defined()) return;
    if (part.all) {
      add_matmul_nn(dx, dh, a_e);
    } else {
      add_rows(dx, part.tokens, matmul_nn(dh, a_e));
    }
  });
  const auto as_leaf = [](const at::Tensor& gradient, const at::Tensor& leaf) {
    return gradient.defined() ? gradient.to(leaf.scalar_type()) : gradient;
  };
  return {dy, dx, dw, as_leaf(da, pass.saved[2]), as_leaf(db, pass.saved[3])};
}

}  // namespace

at::Tensor expert_low_rank(at::Tensor y, const at::Tensor& x, const at::Tensor& weights, const at::Tensor& a,
                           const at::Tensor& b, const ExpertRows& rows) {
  MOREX_ASSERT(y.dim() == 2 && x.dim() == 2 && y.size(0) == x.size(0) && y.scalar_type() == x.scalar_type());
  MOREX_ASSERT(a.size(1) == x.size(1) && b.size(1) == y.size(1) && a.size(0) == b.size(0) && !rows.counts.empty());
  MOREX_ASSERT(a.size(0) % static_cast<int64_t>(rows.counts.size()) == 0 && weights.size(0) == rows.tokens.size(0));
  AutogradNode node("expert_low_rank", {y, x, weights, a, b});
  node.changes(y);
  const at::Tensor h = run_forward(y, x.detach(), weights.detach(), a.detach(), b.detach(), rows);
  return node.record(std::move(y), {x, weights, a, b, h},
                     [rows](const BackwardPass& pass) { return run_backward(pass, rows); });
}

}  // namespace morex::ops
