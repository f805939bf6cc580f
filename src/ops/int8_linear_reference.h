// The reference twin of a map in eight bits (frozen_linear.h, int8_products.h) in plain ATen autograd: the whole weight
// dequantised.
#pragma once
#include <ATen/core/Tensor.h>

#include "ops/int8_blocks.h"

namespace morex::ops::reference {

at::Tensor int8_linear(const at::Tensor& x, const Int8Blocks& weight);

}  // namespace morex::ops::reference
