// The reference twin of attention.h in plain ATen autograd, any dtype: repeats keys, holds all probabilities.
#pragma once
#include <ATen/core/Tensor.h>

#include "ops/attention.h"

namespace morex::ops::reference {

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale,
                     const AttentionKind& kind);

}  // namespace morex::ops::reference
