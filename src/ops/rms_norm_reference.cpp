#include "ops/rms_norm_reference.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/rsqrt.h>

#include "ops/wide.h"

namespace morex::ops::reference {

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  const at::Tensor wide = x.to(wide_type(x.scalar_type()));
  const at::Tensor normalised = wide * at::rsqrt(wide.pow(2).mean(-1, true) + eps);
  return weight.to(x.scalar_type()) * normalised.to(x.scalar_type());
}

StreamAndNorm add_rms_norm(const at::Tensor& stream, const at::Tensor& delta, const at::Tensor& weight, double eps) {
  const at::Tensor sum = stream.to(wide_type(delta.scalar_type())) + delta;
  const at::Tensor normalised = sum * at::rsqrt(sum.pow(2).mean(-1, true) + eps);
  return {sum, weight.to(delta.scalar_type()) * normalised.to(delta.scalar_type())};
}

}  // namespace morex::ops::reference
