// The reference twin of expert_swiglu.h in plain ATen autograd, any dtype and device: one expert after another.
#pragma once
#include <utility>

#include "ops/expert_swiglu.h"

namespace morex::ops::reference {

std::pair<at::Tensor, at::Tensor> expert_swiglu(const ExpertSwigluInput& input, const ExpertRows& rows,
                                                const ExpertSwigluOptions& options);

}  // namespace morex::ops::reference
