// The reference twins of low_rank.h in plain ATen autograd, any dtype.
#pragma once
#include <ATen/core/Tensor.h>

namespace morex::ops::reference {

at::Tensor down(const at::Tensor& x, const at::Tensor& ag, const at::Tensor& bias = {});
at::Tensor down_fp32(const at::Tensor& x, const at::Tensor& ag, const at::Tensor& bias = {});
// Leaves y alone and returns the sum.
at::Tensor accumulate_up(const at::Tensor& y, const at::Tensor& z, const at::Tensor& b, const at::Tensor& bias = {});

}  // namespace morex::ops::reference
