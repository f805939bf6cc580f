#include "ops/rope.h"

#include <ATen/Dispatch.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include "base/error.h"
#include "ops/autograd_node.h"
#include "ops/chunks.h"
#include "ops/dense_rows.h"
#include "ops/rope_reference.h"
#include "ops/vector_loops.h"
#include "ops/wide.h"

namespace morex::ops {
namespace {

// cos or sin as contiguous [1 or B, L, K] in the type the rotation is computed in.
at::Tensor angle_table(const at::Tensor& table, const at::Tensor& x) {
  const int64_t batch = x.size(0), length = x.size(2), k = x.size(3);
  const at::ScalarType wide = x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const bool per_token = table.dim() == 3 || table.size(0) != length;
  return table.detach().to(wide).contiguous().view({per_token ? batch : 1, length, k});
}

// One row of K elements; inverse is the transposed rotation.
template <typename T, typename A>
[[gnu::always_inline]] inline void rotate_row(const T* x, T* y, const A* cos, const A* sin, int64_t half,
                                              bool inverse) {
  if (!inverse) {
#pragma omp simd
    for (int64_t i = 0; i < half; ++i) {
      const A a = widen(x[i]), b = widen(x[i + half]);
      y[i] = narrow<T>(a * cos[i] - b * sin[i]);
      y[i + half] = narrow<T>(b * cos[i + half] + a * sin[i + half]);
    }
  } else {
#pragma omp simd
    for (int64_t i = 0; i < half; ++i) {
      const A a = widen(x[i]), b = widen(x[i + half]);
      y[i] = narrow<T>(a * cos[i] + b * sin[i + half]);
      y[i + half] = narrow<T>(b * cos[i + half] - a * sin[i]);
    }
  }
}

// Rotates every row of x [B, H, L, K] into y of the same shape; both have dense rows.
void rotate(const at::Tensor& x, const at::Tensor& y, const at::Tensor& cos, const at::Tensor& sin, bool inverse) {
  const int64_t heads = x.size(1), length = x.size(2), k = x.size(3), half = k / 2;
  const int64_t table_stride = cos.size(0) == 1 ? 0 : cos.stride(0);
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, x.scalar_type(), "rope", [&] {
    using wide = Wide<scalar_t>;
    const scalar_t* xs = x.const_data_ptr<scalar_t>();
    scalar_t* ys = y.mutable_data_ptr<scalar_t>();
    const wide *cs = cos.const_data_ptr<wide>(), *ss = sin.const_data_ptr<wide>();
    const at::IntArrayRef in = x.strides(), out = y.strides();
    for_chunks(x.size(0) * length, rows_per_chunk(heads * k), [&](int64_t begin, int64_t end) {
      in_vectors([&]() __attribute__((always_inline)) {
        for (int64_t t = begin; t < end; ++t) {
          const int64_t b = t / length, l = t % length, angle = b * table_stride + l * k;
          for (int64_t h = 0; h < heads; ++h)
            rotate_row<scalar_t, wide>(xs + b * in[0] + h * in[1] + l * in[2],
                                       ys + b * out[0] + h * out[1] + l * out[2], cs + angle, ss + angle, half,
                                       inverse);
        }
      });
    });
  });
}

}  // namespace

at::Tensor rope(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  MOREX_ASSERT(x.dim() == 4 && x.size(3) % 2 == 0 && cos.size(-1) == x.size(3) && cos.sizes() == sin.sizes());
  if (!x.is_cpu()) return reference::rope(x, cos, sin);
  AutogradNode node("rope", {x});
  const at::Tensor c = angle_table(cos, x), s = angle_table(sin, x);
  const at::Tensor y = at::empty(x.sizes(), x.options().requires_grad(false));
  rotate(with_dense_rows(x.detach()), y, c, s, false);
  return node.record(y, {c, s}, [](const BackwardPass& pass) -> Tensors {
    const at::Tensor dy = with_dense_rows(pass.grads[0]);
    const int64_t b = dy.size(0), h = dy.size(1), l = dy.size(2), k = dy.size(3);
    const at::Tensor dx = empty_heads(b, h, l, k, dy.options());
    rotate(dy, dx, pass.saved[0], pass.saved[1], true);
    return {dx};
  });
}

}  // namespace morex::ops
