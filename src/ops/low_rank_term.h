// z·b (+ bias), what an adapter adds to a linear map: how it enters a product, and its gradients.
#pragma once
#include <ATen/core/Tensor.h>

#include "ops/autograd_node.h"
#include "ops/factors.h"

namespace morex::ops {

// z [T, r], b [r, out], bias [out] or undefined; without z there is nothing to add.
struct LowRankTerm {
  at::Tensor z, b, bias;
};

// Decoding: few rows that read the leaf b as it is, where none of the three inputs of `node` from `first` on is wanted.
bool few_rows_read_leaf(const at::Tensor& y, const AutogradNode& node, size_t first);
void add_to_few_rows(const at::Tensor& y, const LowRankTerm& term);

// The term as one product in `type`: a bias is one more row of b, for a column of ones, and behind it
// there may be one of zeros: their number is even.
Factors factors_of(const LowRankTerm& term, at::ScalarType type);

// What the gradients must know of the term.
struct TermShape {
  TermShape() = default;
  explicit TermShape(const LowRankTerm& term)
      : z_type(term.z.scalar_type()),
        b_type(term.b.scalar_type()),
        rank(term.b.size(0)),
        has_bias(term.bias.defined()) {}
  at::ScalarType z_type = at::kFloat, b_type = at::kFloat;
  int64_t rank = 0;
  bool has_bias = false;
};

struct TermGradients {
  at::Tensor z, b, bias;
};

// Those that are wanted of the three inputs from `first` on, in the inputs' dtypes; dy [T, out], `a` and `b` as
// factors_of() gave them (`a` undefined: b and bias do not train).
TermGradients term_gradients(const BackwardPass& pass, const at::Tensor& dy, const at::Tensor& a, const at::Tensor& b,
                             const TermShape& shape, size_t first);

}  // namespace morex::ops
