// The base's linear map.
#pragma once
#include <ATen/core/Tensor.h>

namespace morex::ops {

// y = x·Wᵀ.  x [T, in]; weight [out, in], or [in, out] when `transposed` -> [T, out].
// Dtypes: float32, bfloat16, float64; the result has x's. A weight of another dtype (a float32 leaf under bfloat16
// activations) is cast for the product, and its gradient is returned in its own dtype.
// Grad: x; the weight only where it requires one. Saves the weight's handle, and x only for a trainable weight.
// Error: as gemm.h.
at::Tensor frozen_linear(const at::Tensor& x, const at::Tensor& weight, bool transposed = false);

}  // namespace morex::ops
