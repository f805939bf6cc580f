#include "ops/low_rank.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <memory>

#include "base/error.h"
#include "ops/autograd_node.h"
#include "ops/convert_rows.h"
#include "ops/dense_rows.h"
#include "ops/few_rows.h"
#include "ops/gemm.h"
#include "ops/low_rank_term.h"
#include "ops/router_rows.h"
#include "ops/wide.h"

namespace morex::ops {
namespace {

// Elements of bfloat16 x that are widened at a time: 1 MiB in float32 stays in a core's cache until the product reads
// it.
constexpr int64_t kWidenedElements = int64_t{1} << 18;

// Calls f(first row, number of rows) for parts of x [T, d] of kWidenedElements, for all of x where it is wide already.
template <typename F>
void for_widened_parts(const at::Tensor& x, F&& f) {
  const int64_t total = x.size(0);
  const bool wide = x.scalar_type() == wide_type(x.scalar_type());
  const int64_t part = wide ? std::max<int64_t>(1, total) : std::max<int64_t>(1, kWidenedElements / x.size(1));
  for (int64_t row = 0; row < total; row += part) f(row, std::min(part, total - row));
}

// Rows of x in the wide type.
at::Tensor widened(const at::Tensor& x, int64_t row, int64_t count) {
  const at::Tensor all = unrecorded(x);
  const at::Tensor rows = with_dense_rows(count == all.size(0) ? all : all.narrow(0, row, count));
  const at::ScalarType wide = wide_type(x.scalar_type());
  if (x.scalar_type() == wide || !x.is_cpu()) return rows.to(wide);
  const at::Tensor out = at::empty({count, x.size(1)}, rows.options().dtype(wide));
  convert_rows<float, c10::BFloat16>(rows, out);
  return out;
}

// What down_fp32 gives: x·agᵀ [T, R] in the wide type.
at::Tensor wide_product(const at::Tensor& x, const at::Tensor& ag) {
  const at::ScalarType wide = wide_type(x.scalar_type());
  const at::Tensor a = unrecorded(ag).to(wide);
  if (router_rows_apply(x, a)) return router_dots(unrecorded(x), a.contiguous());
  if (x.size(0) <= kFewRows) return matmul_nt(widened(x, 0, x.size(0)), a);
  const at::Tensor h = at::empty({x.size(0), ag.size(0)}, x.options().dtype(wide).requires_grad(false));
  for_widened_parts(
      x, [&](int64_t row, int64_t count) { h.narrow(0, row, count).copy_(matmul_nt(widened(x, row, count), a)); });
  return h;
}

// The product dh·ag [T, d] of the wide type, rounded to x's: into a new tensor, or added to `sum`.
at::Tensor narrowed_product(const at::Tensor& dh, const at::Tensor& ag, const at::Tensor& x, const at::Tensor& sum) {
  if (router_rows_apply(x, ag)) {
    const at::Tensor dx = sum.defined() ? sum : at::empty(x.sizes(), x.options().requires_grad(false));
    router_input_gradient(dx, dh, ag.contiguous(), sum.defined());
    return dx;
  }
  if (x.scalar_type() == dh.scalar_type()) {
    if (!sum.defined()) return matmul_nn(dh, ag);
    add_matmul_nn(sum, dh, ag);
    return sum;
  }
  if (!x.is_cpu()) {
    const at::Tensor product = matmul_nn(dh, ag).to(x.scalar_type());
    return sum.defined() ? sum.add_(product) : product;
  }
  const at::Tensor dx = sum.defined() ? sum : at::empty(x.sizes(), x.options().requires_grad(false));
  for_widened_parts(x, [&](int64_t row, int64_t count) {
    const at::Tensor product = matmul_nn(dh.narrow(0, row, count), ag), rows = dx.narrow(0, row, count);
    sum.defined() ? convert_rows<c10::BFloat16, float, true>(product, rows)
                  : convert_rows<c10::BFloat16, float>(product, rows);
  });
  return dx;
}

// sum = dhᵀ·x [R, d] in the wide type.
void set_wide_leaf_gradient(const at::Tensor& sum, const at::Tensor& dh, const at::Tensor& x) {
  if (router_rows_apply(x, sum)) return router_gradient(sum, dh, x.detach());
  sum.zero_();
  for_widened_parts(
      x, [&](int64_t row, int64_t count) { add_matmul_tn(sum, dh.narrow(0, row, count), widened(x, row, count)); });
}

// dh·a, undefined where it is owed instead.
at::Tensor product_or_owed(const at::Tensor& dh, const at::Tensor& a, const std::shared_ptr<OwedProducts>& owed) {
  if (owed == nullptr) return matmul_nn(dh, a);
  owed->add({dh, a});
  return {};
}

// Of h and u, for the inputs x, kept (undefined: x itself) and ag.
Tensors down_both_backward(const BackwardPass& pass, int64_t down_rows, const std::shared_ptr<OwedProducts>& owed) {
  const at::Tensor &x = pass.saved[0], &ag = pass.saved[2], &dh = pass.grads[0];
  const bool apart = pass.saved[1].defined();
  const at::Tensor kept = apart ? pass.saved[1] : x, du = pass.grads[1].contiguous();
  const int64_t routes = ag.size(0) - down_rows;
  const at::Tensor a = ag.detach().narrow(0, 0, down_rows), g = ag.detach().narrow(0, down_rows, routes);
  at::Tensor dx, dkept, dag;
  if (pass.wants(apart ? 1 : 0)) dkept = product_or_owed(dh, a.to(dh.scalar_type()), owed);  // [T, d]
  if (pass.wants(0)) dx = narrowed_product(du, g.to(du.scalar_type()), x, apart ? at::Tensor() : dkept);
  if (pass.wants(2)) {
    dag = at::empty(ag.sizes(), ag.options().requires_grad(false));  // [R + Q, d]
    // DEVIATION: as in down().
    dag.narrow(0, 0, down_rows).copy_(matmul_tn(dh, kept, ag.scalar_type()));
    const at::Tensor dg = dag.narrow(0, down_rows, routes);
    const bool in_place = dg.scalar_type() == du.scalar_type();
    const at::Tensor sum = in_place ? dg : at::empty(dg.sizes(), du.options());
    set_wide_leaf_gradient(sum, du, x);
    if (!in_place) dg.copy_(sum);
  }
  return {dx, apart ? dkept : at::Tensor(), dag};
}

}  // namespace

at::Tensor down(const at::Tensor& x, const at::Tensor& ag) {
  MOREX_ASSERT(x.dim() == 2 && ag.dim() == 2 && x.size(1) == ag.size(1));
  AutogradNode node("down", {x, ag});
  const at::Tensor h = matmul_nt(x, ag);  // [T, R]
  return node.record(h, {node.wants(1) ? x : at::Tensor(), ag},
                     [type = x.scalar_type(), owed = owed_products_of(x)](const BackwardPass& pass) -> Tensors {
                       const at::Tensor &x = pass.saved[0], &ag = pass.saved[1], &dh = pass.grads[0];
                       at::Tensor dx, dag;
                       if (pass.wants(0)) dx = product_or_owed(dh, ag.detach().to(type), owed);  // [T, d]
                       // DEVIATION: where the processor has no dot products of bfloat16 this one is rounded to
                       // bfloat16 before it is widened; PEFT's float32 adapters form it in float32.
                       if (pass.wants(1)) dag = matmul_tn(dh, x, ag.scalar_type());  // [R, d]
                       return {dx, dag};
                     });
}

at::Tensor down_fp32(const at::Tensor& x, const at::Tensor& ag) {
  MOREX_ASSERT(x.dim() == 2 && ag.dim() == 2 && x.size(1) == ag.size(1));
  AutogradNode node("down_fp32", {x, ag});
  return node.record(wide_product(x, ag), {x, ag}, [](const BackwardPass& pass) -> Tensors {
    const at::Tensor &x = pass.saved[0], &ag = pass.saved[1], dh = pass.grads[0].contiguous();
    at::Tensor dx, dag;
    if (pass.wants(0)) dx = narrowed_product(dh, ag.detach().to(dh.scalar_type()), x, {});  // [T, d]
    if (pass.wants(1)) {
      dag = at::empty(ag.sizes(), dh.options());  // [R, d]
      set_wide_leaf_gradient(dag, dh, x);
      dag = dag.to(ag.scalar_type());
    }
    return {dx, dag};
  });
}

DownBoth down_both(const at::Tensor& kept, const at::Tensor& x, const at::Tensor& ag, int64_t down_rows) {
  MOREX_ASSERT(x.dim() == 2 && ag.dim() == 2 && x.size(1) == ag.size(1) && x.sizes() == kept.sizes());
  MOREX_ASSERT(0 < down_rows && down_rows < ag.size(0));
  const at::Tensor apart = kept.is_same(x) ? at::Tensor() : kept;
  AutogradNode node("down_both", {x, apart, ag});
  const at::Tensor a = ag.detach().narrow(0, 0, down_rows),
                   g = ag.detach().narrow(0, down_rows, ag.size(0) - down_rows);
  const Tensors out = node.record({matmul_nt(kept, a), wide_product(x, g)}, {x, apart, ag},
                                  [down_rows, owed = owed_products_of(kept)](const BackwardPass& pass) {
                                    return down_both_backward(pass, down_rows, owed);
                                  });
  return {out[0], out[1]};
}

at::Tensor accumulate_up(at::Tensor y, const at::Tensor& z, const at::Tensor& b, const at::Tensor& bias) {
  MOREX_ASSERT(y.dim() == 2 && y.size(0) == z.size(0) && y.size(1) == b.size(1));
  AutogradNode node("accumulate_up", {y, z, b, bias});
  node.changes(y);
  const LowRankTerm term{z, b, bias};
  if (few_rows_read_leaf(y, node, 1)) {
    add_to_few_rows(y, term);
    return node.record(std::move(y), {}, [](const BackwardPass& pass) -> Tensors {
      return {pass.grads[0], {}, {}, {}};
    });
  }
  const Factors factors = factors_of(term, y.scalar_type());
  add_matmul_nn(y, factors.a, factors.b);
  const bool trains = node.wants(2) || node.wants(3);
  return node.record(std::move(y), {trains ? factors.a : at::Tensor(), factors.b},
                     [shape = TermShape(term)](const BackwardPass& pass) -> Tensors {
                       const at::Tensor& dy = pass.grads[0];
                       const TermGradients d = term_gradients(pass, dy, pass.saved[0], pass.saved[1], shape, 1);
                       return {dy, d.z, d.b, d.bias};
                     });
}

}  // namespace morex::ops
