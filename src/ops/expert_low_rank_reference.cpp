#include "ops/expert_low_rank_reference.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/mm.h>

namespace morex::ops::reference {

at::Tensor expert_low_rank(const at::Tensor& y, const at::Tensor& x, const at::Tensor& weights, const at::Tensor& a,
                           const at::Tensor& b, const ExpertRows& rows) {
  const at::ScalarType type = y.scalar_type();
  const int64_t rank = a.size(0) / static_cast<int64_t>(rows.counts.size());
  at::Tensor sum = y;
  int64_t first = 0;
  for (size_t e = 0; e < rows.counts.size(); ++e) {
    const int64_t row = static_cast<int64_t>(e) * rank;
    const at::Tensor tokens = rows.tokens.narrow(0, first, rows.counts[e]);
    const at::Tensor g = weights.narrow(0, first, rows.counts[e]).unsqueeze(1).to(type);
    const at::Tensor h = at::mm(x.index_select(0, tokens), a.narrow(0, row, rank).to(type).t());  // [n, r]
    sum = sum.index_add(0, tokens, at::mm(g * h, b.narrow(0, row, rank).to(type)));
    first += rows.counts[e];
  }
  return sum;
}

}  // namespace morex::ops::reference
