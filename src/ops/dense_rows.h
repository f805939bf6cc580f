// Matrices as row loops read them.
#pragma once
#include <ATen/core/Tensor.h>

namespace morex::ops {

// x [T, n] itself where the elements of a row lie side by side, whatever lies between rows; a contiguous copy
// otherwise.
inline at::Tensor with_dense_rows(const at::Tensor& x) { return x.stride(1) == 1 ? x : x.contiguous(); }

}  // namespace morex::ops
