#include "ops/low_rank_reference.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/matmul.h>

#include "ops/wide.h"

namespace morex::ops::reference {

at::Tensor down(const at::Tensor& x, const at::Tensor& ag) { return at::matmul(x, ag.to(x.scalar_type()).t()); }

at::Tensor down_fp32(const at::Tensor& x, const at::Tensor& ag) { return down(x.to(wide_type(x.scalar_type())), ag); }

DownBoth down_both(const at::Tensor& kept, const at::Tensor& x, const at::Tensor& ag, int64_t down_rows) {
  return {down(kept, ag.narrow(0, 0, down_rows)), down_fp32(x, ag.narrow(0, down_rows, ag.size(0) - down_rows))};
}

at::Tensor accumulate_up(const at::Tensor& y, const at::Tensor& z, const at::Tensor& b, const at::Tensor& bias) {
  const at::Tensor sum = y + at::matmul(z.to(y.scalar_type()), b.to(y.scalar_type()));
  return bias.defined() ? sum + bias.to(y.scalar_type()) : sum;
}

}  // namespace morex::ops::reference
