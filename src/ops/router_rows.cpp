#include "ops/router_rows.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <algorithm>

#include "base/error.h"
#include "ops/chunks.h"
#include "ops/few_rows.h"
#include "ops/time_recorder.h"
#include "ops/vector_loops.h"

namespace morex::ops {
namespace {

constexpr int64_t kRowsPerTask = 64, kColumnsPerTask = 128;

DenseRows<const float> rows_of(const at::Tensor& t) { return {t.const_data_ptr<float>(), t.stride(0)}; }

// f(T()) for the type of activations.
template <typename F>
void with_type(const at::Tensor& x, const F& f) {
  x.scalar_type() == at::kFloat ? f(float()) : f(c10::BFloat16());
}

}  // namespace

bool router_rows_apply(const at::Tensor& x, const at::Tensor& g) {
  const int64_t most = x.scalar_type() == at::kBFloat16 ? kRouterRows : kRouterRowsFloat32;
  return x.is_cpu() && (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16) && x.stride(1) == 1 &&
         g.size(0) <= most;
}

at::Tensor router_dots(const at::Tensor& x, const at::Tensor& g) {
  const int64_t tokens = x.size(0), d = x.size(1), q = g.size(0);
  MOREX_ASSERT(router_rows_apply(x, g) && g.is_contiguous() && g.scalar_type() == at::kFloat);
  const TimedScope timed("router_dots", tokens, q, d, x.scalar_type());
  const at::Tensor u = at::empty({tokens, q}, g.options().requires_grad(false));
  float* to = u.mutable_data_ptr<float>();
  with_type(x, [&](auto type) {
    using T = decltype(type);
    const DenseRows<const T> from{x.const_data_ptr<T>(), x.stride(0)};
    for_chunks(tokens, kRowsPerTask, [&](int64_t begin, int64_t end) {
      float sums[kRouterRows * kRowsPerTask];  // [Q, rows]
      dot_rows<T>(rows_of(g), q, {from.row(begin), from.stride}, end - begin, d, {sums, kRowsPerTask});
      for (int64_t t = begin; t < end; ++t)
        for (int64_t r = 0; r < q; ++r) to[t * q + r] = sums[r * kRowsPerTask + t - begin];
    });
  });
  return u;
}

void router_gradient(const at::Tensor& dg, const at::Tensor& du, const at::Tensor& x) {
  const int64_t tokens = x.size(0), d = x.size(1), q = du.size(1);
  MOREX_ASSERT(router_rows_apply(x, dg) && dg.is_contiguous() && dg.scalar_type() == at::kFloat);
  const TimedScope timed("router_gradient", q, d, tokens, x.scalar_type());
  const at::Tensor factors = du.t().contiguous();  // [Q, T]
  float* to = dg.mutable_data_ptr<float>();
  with_type(x, [&](auto type) {
    using T = decltype(type);
    const T* from = x.const_data_ptr<T>();
    for_chunks(d, kColumnsPerTask, [&](int64_t begin, int64_t end) {
      mix_rows<T>(rows_of(factors), q, {from + begin, x.stride(0)}, end - begin, tokens, {to + begin, d});
    });
  });
}

void router_input_gradient(const at::Tensor& dx, const at::Tensor& du, const at::Tensor& g, bool accumulate) {
  const int64_t tokens = dx.size(0), d = dx.size(1), q = g.size(0);
  MOREX_ASSERT(router_rows_apply(dx, g) && g.is_contiguous() && du.is_contiguous());
  const TimedScope timed("router_input_gradient", tokens, d, q, dx.scalar_type());
  with_type(dx, [&](auto type) {
    using T = decltype(type);
    T* to = dx.mutable_data_ptr<T>();
    const int64_t stride = dx.stride(0);
    for_chunks(tokens, kRowsPerTask, [&](int64_t begin, int64_t end) {
      float sums[kRowsPerTask * kColumnsPerTask];
      for (int64_t j = 0; j < d; j += kColumnsPerTask) {
        const int64_t width = std::min(kColumnsPerTask, d - j);
        mix_rows<float>({rows_of(du).row(begin), q}, end - begin, {rows_of(g).data + j, d}, width, q,
                        {sums, kColumnsPerTask});
        in_vectors([&]() __attribute__((always_inline)) {
          for (int64_t t = begin; t < end; ++t) {
            const float* sum = sums + (t - begin) * kColumnsPerTask;
            T* row = to + t * stride + j;
            accumulate ? add_row(sum, row, width) : convert_row(sum, row, width);
          }
        });
      }
    });
  });
}

}  // namespace morex::ops
