// A step of the residual stream and the root-mean-square normalisation that reads it, as one pass.
#pragma once
#include <ATen/core/Tensor.h>

namespace morex::ops {

struct StreamAndNorm {
  at::Tensor stream;  // [T, D] float32 (float64 with float64)
  at::Tensor normed;  // [T, D] in delta's dtype
};

// stream' = stream + delta, normed = cast(w · stream' · rstd), rstd = 1/sqrt(mean(stream'²) + eps).
// stream, delta [T, D]; weight [D]. Dtypes: delta float32, bfloat16 or float64; stream delta's or the wider one it
// gives back, so that the sums of a bfloat16 model are never rounded to bfloat16. A weight of another dtype is cast to
// delta's. Grad: stream, delta; the weight only where it requires one. Saves cast(stream' · rstd) [T, D], the weight's
// handle and rstd [T], nothing where no gradient is recorded; what saves normed forms it again from them, except in
// bfloat16. Error: 2 ulp of the dtype. Source: Zhang & Sennrich 2019, eq. 4.
StreamAndNorm add_rms_norm(const at::Tensor& stream, const at::Tensor& delta, const at::Tensor& weight, double eps);

}  // namespace morex::ops
