// Matrix products on row-major tensors, each in the orientation that is fast on this machine. No autograd here: these
// are the bricks of the nodes. Operands of one call have one dtype (float32, bfloat16, float64) and may be strided; a
// weight of another dtype (a float32 leaf under bfloat16 activations) is rounded to it. Results are contiguous. A few
// rows go to few_rows.h, narrow results in bfloat16 to skinny_products.h, products of some size to blocked_product.h
// or, in float32 on CPUs where ATen's library is slow (AMD), to oneDNN; everything else is ATen. Error: one rounding of
// the result plus K·eps of the accumulation in float32 (float64). A row of a product with weights is the same bit
// for bit whether or not an adapter adds zeros to it.
#pragma once
#include <ATen/core/Tensor.h>

#include <vector>

#include "ops/factors.h"

namespace morex::ops {

// x [T, K], w [N, K] -> x·wᵀ [T, N].
at::Tensor matmul_nt(const at::Tensor& x, const at::Tensor& w);
// x [T, K], w [K, N] -> x·w [T, N]. Backward of matmul_nt to its input, without a copy of the weight.
at::Tensor matmul_nn(const at::Tensor& x, const at::Tensor& w);
// The same two into y [T, N], which may be a column slice.
void set_matmul_nt(const at::Tensor& y, const at::Tensor& x, const at::Tensor& w);
void set_matmul_nn(const at::Tensor& y, const at::Tensor& x, const at::Tensor& w);
// a [T, M], b [T, N] -> aᵀ·b [M, N]. The gradient of a weight: matmul_tn(dy, x) for [out, in], matmul_tn(z, dy) for a
// factor stored as [r, out]. Keep the wide operand second: a transposed result is a thousand times slower.
at::Tensor matmul_tn(const at::Tensor& a, const at::Tensor& b);
// The same in `type`. A float32 result of bfloat16 operands with a narrow side is not rounded to bfloat16 in between
// where skinny_products.h forms it; elsewhere it is.
at::Tensor matmul_tn(const at::Tensor& a, const at::Tensor& b, at::ScalarType type);
// y += Σ a·b of one type, in place; an undefined y becomes a new tensor. In blocked_product.h one pass, rounded once.
void add_products(at::Tensor& y, const std::vector<Factors>& products);
// y [T, N] += z [T, K]·b [K, N], in place; y may be a column slice.
void add_matmul_nn(const at::Tensor& y, const at::Tensor& z, const at::Tensor& b);
// y [M, N] += a [T, M]ᵀ·b [T, N], in place; y may be float32 under bfloat16 operands, as above.
void add_matmul_tn(const at::Tensor& y, const at::Tensor& a, const at::Tensor& b);

// Whether float32 products of some size go to oneDNN on this machine (for `doctor`).
bool onednn_products();

}  // namespace morex::ops
