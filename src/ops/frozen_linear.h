// The base's linear maps.
#pragma once
#include <ATen/core/Tensor.h>

#include <vector>

#include "ops/low_rank_term.h"

namespace morex::ops {

// One map: W [out, in], or [in, out] when `transposed`. With `scales` W [out, in] is held in eight bits
// (int8_blocks.h): `value` are its integers, never trainable.
struct MapWeight {
  at::Tensor value;
  bool transposed = false;
  at::Tensor scales = {};
};

// x, for several that read it: the gradients of those that owe products (frozen_linears, down) are formed in one pass,
// with what others give as it is.
at::Tensor shared_input(const at::Tensor& x);

// y_i = x·W_iᵀ (+ z_i·b_i + bias_i) for maps that read the same x [T, in] -> [T, out] each. `terms` is empty or has one
// for each map.
// Dtypes: float32, bfloat16, float64; results have x's. A weight or term of another dtype (a float32 leaf under
// bfloat16 activations) is cast for the product, and its gradient is returned in its own dtype.
// DEVIATION: PEFT rounds a bfloat16 base product before it adds the adapter's. Here the sum is rounded once where
// blocked_product.h forms it: plain weights of x's dtype, 32 rows and more, an even rank.
//
// Grad: x; z, b and bias; a weight only where it requires one. Saves the weights' handles, the terms, and x only for a
// trainable weight. Error: as gemm.h; in eight bits as int8_products.h.
std::vector<at::Tensor> frozen_linears(const at::Tensor& x, const std::vector<MapWeight>& weights,
                                       const std::vector<LowRankTerm>& terms = {});

// The same for one map.
at::Tensor frozen_linear(const at::Tensor& x, const MapWeight& weight);
at::Tensor frozen_linear(const at::Tensor& x, const at::Tensor& weight, bool transposed = false);

}  // namespace morex::ops
