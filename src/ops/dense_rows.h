// Tensors as row loops read and write them.
#pragma once
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty_strided.h>

namespace morex::ops {

// x [..., n] itself where the elements of a row lie side by side, whatever lies between rows; a contiguous copy
// otherwise.
inline at::Tensor with_dense_rows(const at::Tensor& x) { return x.stride(-1) == 1 ? x : x.contiguous(); }

// t for reading without a gradient: itself where it has none, for a detached tensor takes as long as a short product.
inline at::Tensor unrecorded(const at::Tensor& t) { return t.requires_grad() ? t.detach() : t; }

// Whether a matrix's rows (columns) are dense and do not overlap.
inline bool has_dense_rows(const at::Tensor& t) { return t.stride(1) == 1 && t.stride(0) >= t.size(1); }
inline bool has_dense_columns(const at::Tensor& t) { return t.stride(0) == 1 && t.stride(1) >= t.size(0); }

// An empty [B, H, L, K] with the heads of a token side by side, so that [B·L, H·K] is a view of it.
inline at::Tensor empty_heads(int64_t batch, int64_t heads, int64_t length, int64_t width,
                              const at::TensorOptions& options) {
  return at::empty_strided({batch, heads, length, width}, {length * heads * width, width, heads * width, 1}, options);
}

}  // namespace morex::ops
