#include "ops/rope_reference.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>

#include "ops/wide.h"

namespace morex::ops::reference {

at::Tensor rope(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  const int64_t batch = x.size(0), length = x.size(2), k = x.size(3);
  const at::Tensor wide = x.to(wide_type(x.scalar_type()));
  const auto broadcast = [&](const at::Tensor& table) {  // [1 or B, 1, L, K]
    const bool per_token = table.dim() == 3 || table.size(0) != length;
    return table.to(wide.scalar_type()).reshape({per_token ? batch : 1, 1, length, k});
  };
  const at::Tensor rotated = at::cat({-wide.narrow(3, k / 2, k / 2), wide.narrow(3, 0, k / 2)}, 3);
  return (wide * broadcast(cos) + rotated * broadcast(sin)).to(x.scalar_type());
}

}  // namespace morex::ops::reference
