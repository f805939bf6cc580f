#include "ops/flat_adamw_reference.h"

#include <ATen/core/Tensor.h>

#include <cmath>

namespace morex::ops::reference {

void adamw(at::Tensor p, const at::Tensor& g, at::Tensor m, at::Tensor v, const AdamWOptions& options,
           int64_t update_count) {
  const double t = static_cast<double>(update_count);
  p.mul_(1.0 - options.lr * options.weight_decay);
  m.lerp_(g, 1.0 - options.beta1);
  v.mul_(options.beta2).addcmul_(g, g, 1.0 - options.beta2);
  const double step_size = options.lr / (1.0 - std::pow(options.beta1, t));
  const at::Tensor denominator = v.sqrt().div_(std::sqrt(1.0 - std::pow(options.beta2, t))).add_(options.eps);
  p.addcdiv_(m, denominator, -step_size);
}

}  // namespace morex::ops::reference
