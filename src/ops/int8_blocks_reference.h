// The reference twins of int8_blocks.h in plain ATen, any device.
#pragma once
#include <ATen/core/Tensor.h>

#include "ops/int8_blocks.h"

namespace morex::ops::reference {

Int8Blocks quantize_int8(const at::Tensor& w);
at::Tensor dequantize_int8(const Int8Blocks& blocks, at::ScalarType dtype);

}  // namespace morex::ops::reference
