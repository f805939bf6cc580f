// The reference twin of scale_experts.h in plain ATen autograd, any dtype and device.
#pragma once
#include <ATen/core/Tensor.h>

#include "ops/scale_experts.h"

namespace morex::ops::reference {

at::Tensor scale_experts(const ScaleExpertsInput& input, int64_t experts, double scale);

}  // namespace morex::ops::reference
