// The reference twin of top_k.h in plain ATen autograd, any dtype and device.
#pragma once
#include "ops/top_k.h"

namespace morex::ops::reference {

TopK top_k(const at::Tensor& values, int64_t k, bool shares);

}  // namespace morex::ops::reference
