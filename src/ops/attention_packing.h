// How attention's operands lie in memory while it works on blocks: float32, whole blocks of 64, zero behind the end.
#pragma once
#include <ATen/core/Tensor.h>

namespace morex::ops {

inline constexpr int64_t kAttentionBlock = 64;

inline int64_t padded_to_block(int64_t n) { return (n + kAttentionBlock - 1) / kAttentionBlock * kAttentionBlock; }

// to [columns, rows] = from [rows, columns]ᵀ, in fours of rows: both must have room for a whole last four.
void turn_block(const float* from, int64_t from_stride, int64_t rows, int64_t columns, float* to, int64_t to_stride);

// t [B, H, N, K], bfloat16 or float32, any strides -> float32 [B, H, padded N, K].
at::Tensor packed_rows(const at::Tensor& t);

// packed_rows() turned: [B, H, padded N, K] -> [B, H, K, padded N].
at::Tensor packed_columns(const at::Tensor& rows);

// The first `length` rows of packed_rows() in `type`: [B, H, length, K] with the heads of a token side by side, so that
// [B·length, H·K] is a view of it.
at::Tensor unpacked(const at::Tensor& rows, int64_t length, at::ScalarType type);

// Σ_k a·b of rows in float32: a and b [B, H, N, K] of one type -> [B, H, N].
at::Tensor row_products(const at::Tensor& a, const at::Tensor& b);

}  // namespace morex::ops
