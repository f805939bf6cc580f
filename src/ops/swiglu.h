// The gated non-linearity of feed-forward blocks.
#pragma once
#include <ATen/core/Tensor.h>

#include "ops/activation.h"

namespace morex::ops {

// y = act(gate)·up.  gate, up [T, F] -> [T, F].
// Dtypes: float32, float64, bfloat16 (computed in float32, rounded once). Grad: gate, up. Saves gate and up only;
// what saves y forms it again from them, except in bfloat16. Error: 4 ulp. Source: Shazeer 2020, eq. 5.
// DEVIATION: in bfloat16 Hugging Face rounds act(gate) before the product.
at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up, Activation activation = Activation::kSilu);

}  // namespace morex::ops
