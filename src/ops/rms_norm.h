// Root-mean-square normalisation.
#pragma once
#include <ATen/core/Tensor.h>

#include <utility>

namespace morex::ops {

// y = w · cast(x · rstd), rstd = 1/sqrt(mean(x²) + eps).  x [T, D]; weight [D] -> [T, D] in x's dtype.
// Dtypes: float32, bfloat16 (normalised in float32, rounded to bfloat16, then multiplied by the weight, as Hugging
// Face's Llama does), float64. A weight of another dtype is cast to x's.
// Grad: x; the weight only where it requires one. Saves x, the weight's handle and rstd [T].
// Error: 2 ulp of the dtype. Source: Zhang & Sennrich 2019, eq. 4.
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps);

// The pair behind it. rstd [T] is float32 (float64 for float64).
std::pair<at::Tensor, at::Tensor> rms_norm_forward(const at::Tensor& x, const at::Tensor& weight, double eps);
// -> dx [T, D] in x's dtype, dw [D] in float32 (float64); dw is undefined unless asked for.
std::pair<at::Tensor, at::Tensor> rms_norm_backward(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& weight,
                                                    const at::Tensor& rstd, bool need_weight_grad);

}  // namespace morex::ops
