#include "ops/scale_experts_reference.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/scatter.h>
#include <ATen/ops/zeros.h>

namespace morex::ops::reference {

at::Tensor scale_experts(const ScaleExpertsInput& in, int64_t experts, double scale) {
  const int64_t tokens = in.h.size(0);
  at::Tensor g = in.weights;  // [T, E]
  if (in.ids.defined()) g = at::scatter(at::zeros({tokens, experts}, g.options().requires_grad(false)), 1, in.ids, g);
  const at::Tensor each = in.shared ? in.h.unsqueeze(1) : in.h.unflatten(1, {experts, -1});  // [T, E or 1, r]
  return (each.to(g.scalar_type()) * (g * scale).unsqueeze(2)).flatten(1).to(in.h.scalar_type());
}

}  // namespace morex::ops::reference
