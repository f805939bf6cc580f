#include "ops/low_rank.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "base/error.h"
#include "ops/autograd_node.h"
#include "ops/gemm.h"
#include "ops/wide.h"

namespace morex::ops {
namespace {

// Rows of bfloat16 x that are widened at a time: [1024, 4096] float32 are 16 MiB.
constexpr int64_t kWidenedRows = 1024;

at::ScalarType type_of(const at::Tensor& t) { return t.defined() ? t.scalar_type() : at::ScalarType::Undefined; }

// The gradient of a bias that was added to every row, input `index` of the node.
at::Tensor bias_gradient(const BackwardPass& pass, size_t index, at::ScalarType type) {
  return pass.wants(index) ? pass.grads[0].sum(0, false, type) : at::Tensor();
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

}  // namespace

at::Tensor down(const at::Tensor& x, const at::Tensor& ag, const at::Tensor& bias) {
  MOREX_ASSERT(x.dim() == 2 && ag.dim() == 2 && x.size(1) == ag.size(1));
  AutogradNode node("down", {x, ag, bias});
  at::Tensor h = matmul_nt(x, ag.to(x.scalar_type()));  // [T, R]
  if (bias.defined()) h.add_(bias.detach());
  return node.record(h, {node.wants(1) ? x : at::Tensor(), ag},
                     [type = x.scalar_type(), bias_type = type_of(bias)](const BackwardPass& pass) -> Tensors {
                       const at::Tensor &x = pass.saved[0], &ag = pass.saved[1], &dh = pass.grads[0];
                       at::Tensor dx, dag;
                       if (pass.wants(0)) dx = matmul_nn(dh, ag.to(type));  // [T, d]
                       // DEVIATION: with a bfloat16 base this product is bfloat16, widened; PEFT's float32 adapters
                       // form it in float32.
                       if (pass.wants(1)) dag = matmul_tn(dh, x).to(ag.scalar_type());  // [R, d]
                       return {dx, dag, bias_gradient(pass, 2, bias_type)};
                     });
}

at::Tensor down_fp32(const at::Tensor& x, const at::Tensor& ag, const at::Tensor& bias) {
  MOREX_ASSERT(x.dim() == 2 && ag.dim() == 2 && x.size(1) == ag.size(1));
  AutogradNode node("down_fp32", {x, ag, bias});
  const at::ScalarType wide = wide_type(x.scalar_type());
  const at::Tensor a = ag.detach().to(wide);
  at::Tensor h = at::empty({x.size(0), ag.size(0)}, x.options().dtype(wide).requires_grad(false));  // [T, R]
  for_widened_rows(x.detach(), [&](int64_t row, const at::Tensor& rows) {
    h.narrow(0, row, rows.size(0)).copy_(matmul_nt(rows, a));
  });
  if (bias.defined()) h.add_(bias.detach());
  return node.record(h, {x, ag}, [bias_type = type_of(bias)](const BackwardPass& pass) -> Tensors {
    const at::Tensor &x = pass.saved[0], &ag = pass.saved[1], &dh = pass.grads[0];
    at::Tensor dx, dag;
    if (pass.wants(0)) dx = matmul_nn(dh, ag.to(dh.scalar_type())).to(x.scalar_type());  // [T, d]
    if (pass.wants(1)) {
      at::Tensor sum = at::zeros(ag.sizes(), dh.options());  // [R, d]
      for_widened_rows(x.detach(), [&](int64_t row, const at::Tensor& rows) {
        add_matmul_tn(sum, dh.narrow(0, row, rows.size(0)), rows);
      });
      dag = sum.to(ag.scalar_type());
    }
    return {dx, dag, bias_gradient(pass, 2, bias_type)};
  });
}

at::Tensor accumulate_up(at::Tensor y, const at::Tensor& z, const at::Tensor& b, const at::Tensor& bias) {
  MOREX_ASSERT(y.dim() == 2 && z.dim() == 2 && b.dim() == 2 && y.size(0) == z.size(0) && z.size(1) == b.size(0) &&
               y.size(1) == b.size(1));
  AutogradNode node("accumulate_up", {y, z, b, bias});
  node.changes(y);
  add_matmul_nn(y, z.to(y.scalar_type()), b.to(y.scalar_type()));
  if (bias.defined()) y.add_(bias.detach());
  return node.record(std::move(y), {node.wants(2) ? z : at::Tensor(), b},
                     [z_type = z.scalar_type(), bias_type = type_of(bias)](const BackwardPass& pass) -> Tensors {
                       const at::Tensor &z = pass.saved[0], &b = pass.saved[1], &dy = pass.grads[0];
                       const at::ScalarType type = dy.scalar_type();
                       at::Tensor dz, db;
                       if (pass.wants(1)) dz = matmul_nt(dy, b.to(type)).to(z_type);           // [T, r]
                       if (pass.wants(2)) db = matmul_tn(z.to(type), dy).to(b.scalar_type());  // [r, out]
                       return {dy, dz, db, bias_gradient(pass, 3, bias_type)};
                     });
}

}  // namespace morex::ops
