#include "ops/dropout_reference.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>

namespace morex::ops::reference {

at::Tensor dropout(const at::Tensor& x, double p, const at::Tensor& kept) { return x * kept / (1.0 - p); }

}  // namespace morex::ops::reference
