// Between the tokens of a batch without its padding and the [B, L] grid that attention works on.
#pragma once
#include <ATen/core/Tensor.h>

namespace morex::ops {

// x [T, d], places [T] int64, distinct and in [0, rows) -> y [rows, d], y[places[i]] = x[i], zero elsewhere.
// Grad: x. Saves places. Exact.
at::Tensor to_grid(const at::Tensor& x, const at::Tensor& places, int64_t rows);

// The other way: x [rows, d] -> y [T, d], y[i] = x[places[i]]. Grad: x. Saves places. Exact.
at::Tensor from_grid(const at::Tensor& x, const at::Tensor& places);

}  // namespace morex::ops
