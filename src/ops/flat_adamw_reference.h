// The reference twin of flat_adamw.h: one tensor at a time, in torch.optim.AdamW's order of operations.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

#include "ops/flat_adamw.h"

namespace morex::ops::reference {

// One update of one parameter in place; `update_count` is 1 for its first.
void adamw(at::Tensor p, const at::Tensor& g, at::Tensor m, at::Tensor v, const AdamWOptions& options,
           int64_t update_count);

}  // namespace morex::ops::reference
