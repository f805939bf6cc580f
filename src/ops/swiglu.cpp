#include "ops/swiglu.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mul.h>

#include "base/error.h"
#include "ops/activate.h"
#include "ops/autograd_node.h"
#include "ops/chunks.h"
#include "ops/wide.h"

namespace morex::ops {
namespace {

Tensors swiglu_backward(const BackwardPass& pass, Activation activation) {
  const at::Tensor g = pass.saved[0].detach(), u = pass.saved[1].detach(), dy = pass.grads[0].detach();
  const at::ScalarType wide = wide_type(g.scalar_type());
  const at::Tensor dg = at::empty(g.sizes(), g.options()), du = at::empty(g.sizes(), g.options());  // [T, F]
  for_chunks(g.size(0), rows_per_chunk(g.size(1)), [&](int64_t begin, int64_t end) {
    const at::Tensor gate = g.slice(0, begin, end).to(wide), grad = dy.slice(0, begin, end).to(wide);
    du.slice(0, begin, end).copy_(activate(gate, activation).mul_(grad));
    dg.slice(0, begin, end).copy_(activation_backward(grad.mul(u.slice(0, begin, end)), gate, activation));
  });
  return {dg, du};
}

}  // namespace

at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up, Activation activation) {
  MOREX_ASSERT(gate.dim() == 2 && gate.sizes() == up.sizes() && gate.scalar_type() == up.scalar_type());
  AutogradNode node("swiglu", {gate, up});
  const at::Tensor g = gate.detach(), u = up.detach();
  const at::ScalarType wide = wide_type(g.scalar_type());
  const at::Tensor y = at::empty(g.sizes(), g.options());  // [T, F]
  for_chunks(g.size(0), rows_per_chunk(g.size(1)), [&](int64_t begin, int64_t end) {
    const at::Tensor act = activate(g.slice(0, begin, end).to(wide), activation);
    if (g.scalar_type() == wide) {
      at::Tensor target = y.slice(0, begin, end);
      at::mul_out(target, act, u.slice(0, begin, end));
    } else {
      y.slice(0, begin, end).copy_(act.mul(u.slice(0, begin, end)));
    }
  });
  return node.record(y, {gate, up},
                     [activation](const BackwardPass& pass) { return swiglu_backward(pass, activation); });
}

}  // namespace morex::ops
