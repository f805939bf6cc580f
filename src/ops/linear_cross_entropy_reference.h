// The reference twins of linear_cross_entropy.h in plain ATen autograd, any dtype: hold all logits.
#pragma once
#include <ATen/core/Tensor.h>

namespace morex::ops::reference {

at::Tensor linear_cross_entropy(const at::Tensor& h, const at::Tensor& weight, const at::Tensor& targets,
                                bool transposed = false);
at::Tensor cross_entropy_sum(const at::Tensor& logits, const at::Tensor& targets);

}  // namespace morex::ops::reference
