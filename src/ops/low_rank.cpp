#include "ops/low_rank.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "base/error.h"
#include "ops/autograd_node.h"
#include "ops/chunks.h"
#include "ops/dense_rows.h"
#include "ops/gemm.h"
#include "ops/vector_loops.h"
#include "ops/wide.h"

namespace morex::ops {
namespace {

// Elements of bfloat16 x that are widened at a time: 1 MiB in float32 stays in a core's cache until the product reads
// it.
constexpr int64_t kWidenedElements = int64_t{1} << 18;

at::ScalarType type_of(const at::Tensor& t) { return t.defined() ? t.scalar_type() : at::ScalarType::Undefined; }

// The gradient of a bias that was added to every row, input `index` of the node.
at::Tensor bias_gradient(const BackwardPass& pass, size_t index, at::ScalarType type) {
  return pass.wants(index) ? pass.grads[0].sum(0, false, type) : at::Tensor();
}

// to = from, row by row; one of them bfloat16, the other float32.
template <typename To, typename From>
void convert_rows(const at::Tensor& from, const at::Tensor& to) {
  const int64_t d = from.size(1), from_stride = from.stride(0), to_stride = to.stride(0);
  const From* source = from.const_data_ptr<From>();
  To* target = to.mutable_data_ptr<To>();
  for_chunks(from.size(0), rows_per_chunk(d), [&](int64_t begin, int64_t end) {
    in_vectors([&]() __attribute__((always_inline)) {
      for (int64_t t = begin; t < end; ++t) convert_row(source + t * from_stride, target + t * to_stride, d);
    });
  });
}

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
  const at::Tensor rows = with_dense_rows(x.detach().narrow(0, row, count));
  const at::ScalarType wide = wide_type(x.scalar_type());
  if (x.scalar_type() == wide || !x.is_cpu()) return rows.to(wide);
  const at::Tensor out = at::empty({count, x.size(1)}, rows.options().dtype(wide));
  convert_rows<float, c10::BFloat16>(rows, out);
  return out;
}

// The product dh·ag [T, d] in x's type, formed in the wide one.
at::Tensor narrowed_product(const at::Tensor& dh, const at::Tensor& ag, const at::Tensor& x) {
  if (x.scalar_type() == dh.scalar_type() || !x.is_cpu()) return matmul_nn(dh, ag).to(x.scalar_type());
  const at::Tensor dx = at::empty(x.sizes(), x.options().requires_grad(false));
  for_widened_parts(x, [&](int64_t row, int64_t count) {
    convert_rows<c10::BFloat16, float>(matmul_nn(dh.narrow(0, row, count), ag), dx.narrow(0, row, count));
  });
  return dx;
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
  for_widened_parts(
      x, [&](int64_t row, int64_t count) { h.narrow(0, row, count).copy_(matmul_nt(widened(x, row, count), a)); });
  if (bias.defined()) h.add_(bias.detach());
  return node.record(h, {x, ag}, [bias_type = type_of(bias)](const BackwardPass& pass) -> Tensors {
    const at::Tensor &x = pass.saved[0], &ag = pass.saved[1], &dh = pass.grads[0];
    at::Tensor dx, dag;
    if (pass.wants(0)) dx = narrowed_product(dh.contiguous(), ag.detach().to(dh.scalar_type()), x);  // [T, d]
    if (pass.wants(1)) {
      at::Tensor sum = at::zeros(ag.sizes(), dh.options());  // [R, d]
      for_widened_parts(
          x, [&](int64_t row, int64_t count) { add_matmul_tn(sum, dh.narrow(0, row, count), widened(x, row, count)); });
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
