// The reference twins of rms_norm.h and add_rms_norm.h in plain ATen autograd, any dtype.
#pragma once
#include <ATen/core/Tensor.h>

#include "ops/add_rms_norm.h"

namespace morex::ops::reference {

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps);
StreamAndNorm add_rms_norm(const at::Tensor& stream, const at::Tensor& delta, const at::Tensor& weight, double eps);

}  // namespace morex::ops::reference
