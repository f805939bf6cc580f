// The base's linear maps.
#pragma once
#include <ATen/core/Tensor.h>

#include <vector>

namespace morex::ops {

// One map: W [out, in], or [in, out] when `transposed`. With `scales` W [out, in] is held in eight bits
// (int8_blocks.h): `value` are its integers, never trainable.
struct MapWeight {
  at::Tensor value;
  bool transposed = false;
  at::Tensor scales = {};
};

struct SharedProducts {
  std::vector<at::Tensor> y;  // [T, out] each
  at::Tensor x;               // x again: what else reads it should read it from here
};

// y_i = x·W_iᵀ for maps that read the same x [T, in].
// Dtypes: float32, bfloat16, float64; results have x's. A weight of another dtype (a float32 leaf under bfloat16
// activations) is cast for the product, and its gradient is returned in its own dtype.
// Grad: x; a weight only where it requires one. The gradient to the returned x and those of all y_i are summed inside
// the products. Saves the weights' handles, and x only for a trainable weight. Error: as gemm.h; in
// eight bits as int8_products.h.
SharedProducts frozen_linears(const at::Tensor& x, const std::vector<MapWeight>& weights);

// The same for one map that alone reads x.
at::Tensor frozen_linear(const at::Tensor& x, const MapWeight& weight);
at::Tensor frozen_linear(const at::Tensor& x, const at::Tensor& weight, bool transposed = false);

}  // namespace morex::ops
