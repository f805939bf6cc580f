#include "ops/expert_swiglu_reference.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <vector>

#include "ops/dropout.h"
#include "ops/swiglu_reference.h"

namespace morex::ops::reference {
namespace {

// Dropout of one expert's rows [n, F], the first of which has that place in ExpertRows: a mask for each piece.
at::Tensor dropped(const at::Tensor& a, int64_t first, const ExpertSwigluOptions& options) {
  if (options.dropout == 0.0 || a.size(0) == 0) return a;
  std::vector<at::Tensor> pieces;
  for (int64_t row = 0; row < a.size(0); row += kExpertSwigluRows)
    pieces.push_back(ops::dropout(a.narrow(0, row, std::min(kExpertSwigluRows, a.size(0) - row)), options.dropout,
                                  options.key_of(first + row)));
  return at::cat(pieces, 0);
}

}  // namespace

std::pair<at::Tensor, at::Tensor> expert_swiglu(const ExpertSwigluInput& in, const ExpertRows& rows,
                                                const ExpertSwigluOptions& options) {
  const int64_t tokens = in.gate.size(0), rank = in.b_gate.size(0) / static_cast<int64_t>(rows.counts.size());
  const at::TensorOptions like = in.gate.options().requires_grad(false);
  at::Tensor hidden = at::zeros(in.gate.sizes(), like);
  std::vector<at::Tensor> z;
  int64_t first = 0;
  for (size_t e = 0; e < rows.counts.size(); ++e) {
    const int64_t count = rows.counts[e], column = static_cast<int64_t>(e) * rank;
    const at::Tensor chosen = rows.tokens.narrow(0, first, count);
    const at::Tensor g = in.weights.narrow(0, first, count).unsqueeze(1).to(in.gate.scalar_type());
    const auto projected = [&](const at::Tensor& base, const at::Tensor& h, const at::Tensor& b) {
      const at::Tensor update =
          at::mm(h.narrow(1, column, rank).index_select(0, chosen), b.narrow(0, column, rank).to(h.scalar_type()));
      return base.index_select(0, chosen) + options.scale * update;  // [n, F]
    };
    const at::Tensor a = reference::swiglu(projected(in.gate, in.h_gate, in.b_gate), projected(in.up, in.h_up, in.b_up),
                                           options.activation);
    const at::Tensor down =
        at::mm(dropped(a, first, options), in.a_down.narrow(0, column, rank).to(a.scalar_type()).t());  // [n, r]
    hidden = hidden.index_add(0, chosen, g * a);
    z.push_back(at::zeros({tokens, rank}, like).index_add(0, chosen, options.scale * g * down));
    first += count;
  }
  return {hidden, at::cat(z, 1)};
}

}  // namespace morex::ops::reference
