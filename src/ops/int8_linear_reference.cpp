#include "ops/int8_linear_reference.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/matmul.h>

#include "ops/int8_blocks_reference.h"

namespace morex::ops::reference {

at::Tensor int8_linear(const at::Tensor& x, const Int8Blocks& weight) {
  return at::matmul(x, reference::dequantize_int8(weight, x.scalar_type()).t());
}

}  // namespace morex::ops::reference
