#include "ops/low_rank_term.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include "base/error.h"
#include "ops/convert_rows.h"
#include "ops/dense_rows.h"
#include "ops/few_rows.h"
#include "ops/gemm.h"

namespace morex::ops {
namespace {

// Rows of b with a bias behind them: an even number, as products of pairs of bfloat16 want it.
int64_t rows_with_bias(int64_t rank) { return rank + 2 - rank % 2; }

// z [T, r] in `type`, a column of ones behind it, and perhaps one of zeros.
at::Tensor with_ones(const at::Tensor& z, at::ScalarType type) {
  const int64_t rank = z.size(1), width = rows_with_bias(rank);
  const at::Tensor extended = at::empty({z.size(0), width}, z.options().dtype(type).requires_grad(false));
  const at::Tensor columns = extended.narrow(1, 0, rank);
  if (z.is_cpu() && z.scalar_type() == at::kFloat && type == at::kBFloat16) {
    convert_rows<c10::BFloat16, float>(with_dense_rows(z), columns);
  } else {
    columns.copy_(z);
  }
  extended.select(1, rank).fill_(1);
  if (width > rank + 1) extended.select(1, rank + 1).zero_();
  return extended;
}

// b [r, out] and the bias behind it in `type`, as many rows as with_ones() has columns.
at::Tensor with_bias(const at::Tensor& b, const at::Tensor& bias, at::ScalarType type) {
  const int64_t rank = b.size(0), rows = rows_with_bias(rank);
  const at::Tensor extended = at::empty({rows, b.size(1)}, b.options().dtype(type).requires_grad(false));
  extended.narrow(0, 0, rank).copy_(b);
  extended.select(0, rank).copy_(bias);
  if (rows > rank + 1) extended.select(0, rank + 1).zero_();
  return extended;
}

}  // namespace

bool few_rows_read_leaf(const at::Tensor& y, const AutogradNode& node, size_t first) {
  return y.size(0) <= kFewRows && !node.wants(first) && !node.wants(first + 1) && !node.wants(first + 2);
}

void add_to_few_rows(const at::Tensor& y, const LowRankTerm& term) {
  const at::Tensor z = unrecorded(term.z);
  add_matmul_nn(y, z.scalar_type() == y.scalar_type() ? z : z.to(y.scalar_type()), unrecorded(term.b));
  if (term.bias.defined()) y.add_(term.bias.detach());
}

Factors factors_of(const LowRankTerm& term, at::ScalarType type) {
  const at::Tensor z = term.z.detach(), b = term.b.detach();
  MOREX_ASSERT(z.dim() == 2 && b.dim() == 2 && z.size(1) == b.size(0));
  if (!term.bias.defined()) return {z.to(type), b.to(type)};
  return {with_ones(z, type), with_bias(b, term.bias.detach(), type)};
}

TermGradients term_gradients(const BackwardPass& pass, const at::Tensor& dy, const at::Tensor& a, const at::Tensor& b,
                             const TermShape& shape, size_t first) {
  TermGradients d;
  if (pass.wants(first)) d.z = matmul_nt(dy, b.narrow(0, 0, shape.rank)).to(shape.z_type);  // [T, r]
  if (!a.defined()) return d;
  const at::Tensor both = matmul_tn(a, dy, shape.b_type);  // [r, out], a bias behind it
  if (pass.wants(first + 1)) d.b = both.narrow(0, 0, shape.rank);
  if (shape.has_bias && pass.wants(first + 2)) d.bias = both.select(0, shape.rank);
  return d;
}

}  // namespace morex::ops
