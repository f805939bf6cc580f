// The scores of one level of a tree for every parent node: what S'MoRE's gate network makes of the token and of the
// experts chosen above.
#pragma once
#include <ATen/core/Tensor.h>

#include "ops/tree_activation.h"

namespace morex::ops {

// T tokens, P parents a token under K levels, s experts to score, m hidden units.
struct TreeScoresInput {
  at::Tensor base;   // [T, m] first layer on the token
  at::Tensor table;  // [S, m] first layer on every expert's key of the levels above; undefined at the top
  at::Tensor path;   // [T·P, K] int64, rows of the table on the way to each parent; undefined at the top, where P = 1
  at::Tensor bias;   // [m]
  at::Tensor keys;   // [s, m] keys times the second layer
  at::Tensor shift;  // [s] keys times its bias
};

// scores = φ(base + Σ_k table[path_k] + bias)·keysᵀ + shift: [T·P, s].
// Dtypes: float32, float64, all alike. Grad: every input but path. Saves the inputs; the hidden units are formed again.
// Error: as gemm.h. Source: Zeng et al., arXiv 2504.06426, section 3.3.
at::Tensor tree_scores(const TreeScoresInput& input, TreeActivation activation);

}  // namespace morex::ops
