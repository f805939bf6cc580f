#include "ops/swiglu.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/gelu_backward.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/silu_backward.h>
#include <ATen/ops/threshold_backward.h>
#include <torch/csrc/autograd/custom_function.h>

#include "base/error.h"
#include "ops/chunks.h"
#include "ops/wide.h"

namespace morex::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

at::Tensor activate(const at::Tensor& x, Activation activation) {
  switch (activation) {
    case Activation::kSilu:
      return at::silu(x);
    case Activation::kGelu:
      return at::gelu(x);
    case Activation::kGeluTanh:
      return at::gelu(x, "tanh");
    case Activation::kRelu:
      return at::relu(x);
  }
  MOREX_ASSERT(false);
}

at::Tensor activation_backward(const at::Tensor& dy, const at::Tensor& x, Activation activation) {
  switch (activation) {
    case Activation::kSilu:
      return at::silu_backward(dy, x);
    case Activation::kGelu:
      return at::gelu_backward(dy, x);
    case Activation::kGeluTanh:
      return at::gelu_backward(dy, x, "tanh");
    case Activation::kRelu:
      return at::threshold_backward(dy, x, 0);
  }
  MOREX_ASSERT(false);
}

struct SwigluNode : torch::autograd::Function<SwigluNode> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& gate, const at::Tensor& up, int64_t activation) {
    ctx->save_for_backward({gate, up});
    ctx->saved_data["activation"] = activation;
    const at::Tensor g = gate.detach(), u = up.detach();
    const at::ScalarType wide = wide_type(g.scalar_type());
    at::Tensor y = at::empty(g.sizes(), g.options());  // [T, F]
    for_chunks(g.size(0), rows_per_chunk(g.size(1)), [&](int64_t begin, int64_t end) {
      const at::Tensor act = activate(g.slice(0, begin, end).to(wide), static_cast<Activation>(activation));
      if (g.scalar_type() == wide) {
        at::Tensor target = y.slice(0, begin, end);
        at::mul_out(target, act, u.slice(0, begin, end));
      } else {
        y.slice(0, begin, end).copy_(act.mul(u.slice(0, begin, end)));
      }
    });
    return y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor g = saved[0].detach(), u = saved[1].detach(), dy = grads[0].detach();
    const auto activation = static_cast<Activation>(ctx->saved_data["activation"].toInt());
    const at::ScalarType wide = wide_type(g.scalar_type());
    const at::Tensor dg = at::empty(g.sizes(), g.options()), du = at::empty(g.sizes(), g.options());  // [T, F]
    for_chunks(g.size(0), rows_per_chunk(g.size(1)), [&](int64_t begin, int64_t end) {
      const at::Tensor gate = g.slice(0, begin, end).to(wide), grad = dy.slice(0, begin, end).to(wide);
      du.slice(0, begin, end).copy_(activate(gate, activation).mul_(grad));
      dg.slice(0, begin, end).copy_(activation_backward(grad.mul(u.slice(0, begin, end)), gate, activation));
    });
    return {dg, du, at::Tensor()};
  }
};

}  // namespace

at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up, Activation activation) {
  MOREX_ASSERT(gate.dim() == 2 && gate.sizes() == up.sizes() && gate.scalar_type() == up.scalar_type());
  return SwigluNode::apply(gate, up, static_cast<int64_t>(activation));
}

}  // namespace morex::ops
