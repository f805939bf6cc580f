// The reference twins of low_rank.h in plain ATen autograd, any dtype.
#pragma once
#include <ATen/core/Tensor.h>

#include "ops/low_rank.h"

namespace morex::ops::reference {

at::Tensor down(const at::Tensor& x, const at::Tensor& ag);
at::Tensor down_fp32(const at::Tensor& x, const at::Tensor& ag);
DownBoth down_both(const at::Tensor& kept, const at::Tensor& x, const at::Tensor& ag, int64_t down_rows);
// Leaves y alone and returns the sum.
at::Tensor accumulate_up(const at::Tensor& y, const at::Tensor& z, const at::Tensor& b, const at::Tensor& bias = {});

}  // namespace morex::ops::reference
