#include "ops/low_rank.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "base/error.h"
#include "ops/gemm.h"
#include "ops/wide.h"

namespace morex::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Rows of bfloat16 x that are widened at a time: [1024, 4096] float32 are 16 MiB.
constexpr int64_t kWidenedRows = 1024;

// An undefined tensor is no input of an autograd node: only an optional may be empty.
std::optional<at::Tensor> optional(const at::Tensor& t) {
  return t.defined() ? std::optional<at::Tensor>(t) : std::nullopt;
}

// The gradient of a bias that was added to every row, at input `index` of the node.
at::Tensor bias_gradient(AutogradContext* ctx, size_t index, const at::Tensor& d) {
  const c10::IValue type = ctx->saved_data["bias_dtype"];
  if (type.isNone() || !ctx->needs_input_grad(index)) return {};
  return d.sum(0, false, type.toScalarType());
}

// Calls f(first row, x's rows in the wide type).
template <typename F>
void for_widened_rows(const at::Tensor& x, F&& f) {
  const at::ScalarType wide = wide_type(x.scalar_type());
  if (x.scalar_type() == wide) {
    f(0, x);
    return;
  }
  for (int64_t row = 0; row < x.size(0); row += kWidenedRows) {
    f(row, x.narrow(0, row, std::min(kWidenedRows, x.size(0) - row)).to(wide));
  }
}

struct DownNode : torch::autograd::Function<DownNode> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& ag,
                            const std::optional<at::Tensor>& bias) {
    ctx->save_for_backward({ag.requires_grad() ? x : at::Tensor(), ag});
    ctx->saved_data["dtype"] = x.scalar_type();
    if (bias) ctx->saved_data["bias_dtype"] = bias->scalar_type();
    at::Tensor h = matmul_nt(x, ag.to(x.scalar_type()));  // [T, R]
    if (bias) h.add_(bias->detach());
    return h;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor &x = saved[0], &ag = saved[1], &dh = grads[0];
    at::Tensor dx, dag;
    if (ctx->needs_input_grad(0)) dx = matmul_nn(dh, ag.to(ctx->saved_data["dtype"].toScalarType()));  // [T, d]
    // DEVIATION: with a bfloat16 base this product is bfloat16, widened; PEFT's float32 adapters form it in float32.
    if (ctx->needs_input_grad(1)) dag = matmul_tn(dh, x).to(ag.scalar_type());  // [R, d]
    const at::Tensor dbias = bias_gradient(ctx, 2, dh);
    return {dx, dag, dbias};
  }
};

struct WideDownNode : torch::autograd::Function<WideDownNode> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& ag,
                            const std::optional<at::Tensor>& bias) {
    ctx->save_for_backward({x, ag});
    if (bias) ctx->saved_data["bias_dtype"] = bias->scalar_type();
    const at::ScalarType wide = wide_type(x.scalar_type());
    const at::Tensor a = ag.detach().to(wide);
    at::Tensor h = at::empty({x.size(0), ag.size(0)}, x.options().dtype(wide).requires_grad(false));  // [T, R]
    for_widened_rows(x.detach(), [&](int64_t row, const at::Tensor& rows) {
      h.narrow(0, row, rows.size(0)).copy_(matmul_nt(rows, a));
    });
    if (bias) h.add_(bias->detach());
    return h;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor &x = saved[0], &ag = saved[1], &dh = grads[0];
    at::Tensor dx, dag;
    if (ctx->needs_input_grad(0)) dx = matmul_nn(dh, ag.to(dh.scalar_type())).to(x.scalar_type());  // [T, d]
    if (ctx->needs_input_grad(1)) {
      at::Tensor sum = at::zeros(ag.sizes(), dh.options());  // [R, d]
      for_widened_rows(x.detach(), [&](int64_t row, const at::Tensor& rows) {
        add_matmul_tn(sum, dh.narrow(0, row, rows.size(0)), rows);
      });
      dag = sum.to(ag.scalar_type());
    }
    const at::Tensor dbias = bias_gradient(ctx, 2, dh);
    return {dx, dag, dbias};
  }
};

struct AccumulateUpNode : torch::autograd::Function<AccumulateUpNode> {
  static at::Tensor forward(AutogradContext* ctx, at::Tensor y, const at::Tensor& z, const at::Tensor& b,
                            const std::optional<at::Tensor>& bias) {
    ctx->mark_dirty({y});
    ctx->save_for_backward({b.requires_grad() ? z : at::Tensor(), b});
    ctx->saved_data["z_dtype"] = z.scalar_type();
    if (bias) ctx->saved_data["bias_dtype"] = bias->scalar_type();
    add_matmul_nn(y, z.to(y.scalar_type()), b.to(y.scalar_type()));
    if (bias) y.add_(bias->detach());
    return y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor &z = saved[0], &b = saved[1], &dy = grads[0];
    const at::ScalarType type = dy.scalar_type();
    at::Tensor dz, db;
    if (ctx->needs_input_grad(1)) {
      dz = matmul_nt(dy, b.to(type)).to(ctx->saved_data["z_dtype"].toScalarType());  // [T, r]
    }
    if (ctx->needs_input_grad(2)) db = matmul_tn(z.to(type), dy).to(b.scalar_type());  // [r, out]
    const at::Tensor dbias = bias_gradient(ctx, 3, dy);
    return {dy, dz, db, dbias};
  }
};

}  // namespace

at::Tensor down(const at::Tensor& x, const at::Tensor& ag, const at::Tensor& bias) {
  MOREX_ASSERT(x.dim() == 2 && ag.dim() == 2 && x.size(1) == ag.size(1));
  return DownNode::apply(x, ag, optional(bias));
}

at::Tensor down_fp32(const at::Tensor& x, const at::Tensor& ag, const at::Tensor& bias) {
  MOREX_ASSERT(x.dim() == 2 && ag.dim() == 2 && x.size(1) == ag.size(1));
  return WideDownNode::apply(x, ag, optional(bias));
}

at::Tensor accumulate_up(at::Tensor y, const at::Tensor& z, const at::Tensor& b, const at::Tensor& bias) {
  MOREX_ASSERT(y.dim() == 2 && z.dim() == 2 && b.dim() == 2 && y.size(0) == z.size(0) && z.size(1) == b.size(0) &&
               y.size(1) == b.size(1));
  return AccumulateUpNode::apply(std::move(y), z, b, optional(bias));
}

}  // namespace morex::ops
