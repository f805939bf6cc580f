// One level of a tree of residual experts with chosen nodes: what S'MoRE does between its two large products.
#pragma once
#include <ATen/core/Tensor.h>

#include "ops/tree_activation.h"

namespace morex::ops {

// T tokens, P parents a token, f chosen children a parent, s experts of rank r; messages of width d arrive, of width d'
// leave.
struct TreeLevelInput {
  at::Tensor h;       // [T, s·r] down products, any row stride
  at::Tensor a_bias;  // [s, r]
  at::Tensor b;       // [s, d', r]
  at::Tensor b_bias;  // [s, d']
  at::Tensor below;   // [T·P·f, d] messages of the children; undefined at the bottom, as are w and w_bias
  at::Tensor w;       // [d', d]
  at::Tensor w_bias;  // [d']
  at::Tensor alpha;   // [T, P, f] gates
  at::Tensor ids;     // [T, P, f] int64, the chosen experts
};

// What a level forms of its parameters alone.
struct TreeLevelTables {
  at::Tensor b;     // [s, r, d'] c·Bᵀ
  at::Tensor bias;  // [s, d'] c·(B·a + b), + w where there are levels below
};
TreeLevelTables tree_level_tables(const TreeLevelInput& input, double scale);  // no gradient

// x = Σ_j α_j·σ(c·(B_i·(h_i + a_i) + b_i) + W·below_j + w), i the expert of child j: [T·P, d'].
// Dtypes: float32, float64, all alike. Grad: every input but ids. Saves the inputs and σ(…) [T·P·f, d'].
// Error: as gemm.h. Source: Zeng et al., arXiv 2504.06426, eq. 9 and 10.
at::Tensor tree_level(const TreeLevelInput& input, double scale, TreeActivation activation);
// The same bits without the gradient, from tables that were formed before.
at::Tensor tree_level(const TreeLevelInput& input, const TreeLevelTables& tables, TreeActivation activation);

}  // namespace morex::ops
