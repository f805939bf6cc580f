// The plain twin of expert_low_rank: a loop over experts in ATen autograd, in any dtype.
#pragma once
#include "ops/expert_low_rank.h"

namespace morex::ops::reference {

// As ops::expert_low_rank, but y is not changed.
at::Tensor expert_low_rank(const at::Tensor& y, const at::Tensor& x, const at::Tensor& weights, const at::Tensor& a,
                           const at::Tensor& b, const ExpertRows& rows);

}  // namespace morex::ops::reference
