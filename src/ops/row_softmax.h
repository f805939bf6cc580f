// The softmax of many short rows, as routers take it: the library's call costs more than the numbers of a pool do.
#pragma once
#include <ATen/core/Tensor.h>

namespace morex::ops {

// softmax over the columns of logits [n, E], any row stride: [n, E]. Rows with NaN, or with an infinity as their
// largest, are NaN.
// Dtypes: float32, float64. Grad: logits. Saves the result.
// Error: 4e-7 relative in float32; 0 where a logit is more than 87 below the largest.
at::Tensor row_softmax(const at::Tensor& logits);

}  // namespace morex::ops
