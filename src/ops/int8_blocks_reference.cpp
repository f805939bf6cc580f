#include "ops/int8_blocks_reference.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/repeat_interleave.h>
#include <ATen/ops/where.h>

#include "ops/wide.h"

namespace morex::ops::reference {

Int8Blocks quantize_int8(const at::Tensor& w) {
  const at::NoGradGuard no_grad;
  const int64_t rows = w.size(0), width = w.size(1), blocks = (width + kInt8Block - 1) / kInt8Block;
  const at::Tensor x =
      at::constant_pad_nd(w.to(at::kFloat), {0, blocks * kInt8Block - width}).view({rows, blocks, kInt8Block});
  const at::Tensor scales = (x.abs().amax({2}) / 127.0).to(at::kHalf);  // [rows, blocks]
  const at::Tensor wide = scales.to(at::kFloat).unsqueeze(2);
  const at::Tensor inverse = at::where(wide.gt(0), 1.0 / wide, 0.0);
  const at::Tensor q = (x * inverse).round().clamp(-127, 127).to(at::kChar);
  return {q.view({rows, blocks * kInt8Block}).narrow(1, 0, width).contiguous(), scales};
}

at::Tensor dequantize_int8(const Int8Blocks& blocks, at::ScalarType dtype) {
  const at::NoGradGuard no_grad;
  const at::ScalarType wide = wide_type(dtype);
  const at::Tensor scales =
      at::repeat_interleave(blocks.scales.to(wide), kInt8Block, 1).narrow(1, 0, blocks.values.size(1));
  return (blocks.values.to(wide) * scales).to(dtype);
}

}  // namespace morex::ops::reference
