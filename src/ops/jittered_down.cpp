#include "ops/jittered_down.h"

#include <ATen/Dispatch.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <array>

#include "base/error.h"
#include "ops/autograd_node.h"
#include "ops/chunks.h"
#include "ops/gemm.h"
#include "ops/wide.h"

namespace morex::ops {
namespace {

// Rows that are widened and multiplied at a time: [1024, 4096] float32 are 16 MiB.
constexpr int64_t kRows = 1024;
constexpr int64_t kWordsPerBlock = 4;

// Calls f(first row, factors of the rows, the rows of x multiplied with them).
template <typename F>
void for_jittered_rows(const at::Tensor& x, double jitter, const RandomKey& key, F&& f) {
  const at::ScalarType wide = wide_type(x.scalar_type());
  for (int64_t row = 0; row < x.size(0); row += kRows) {
    const int64_t count = std::min(kRows, x.size(0) - row);
    const at::Tensor factors = jitter_factors(row, count, x.size(1), jitter, key, wide).to(x.device());
    f(row, factors, x.narrow(0, row, count).to(wide).mul(factors));
  }
}

}  // namespace

at::Tensor jitter_factors(int64_t first, int64_t rows, int64_t width, double jitter, const RandomKey& key,
                          at::ScalarType dtype) {
  const at::Tensor factors = at::empty({rows, width}, at::TensorOptions().dtype(dtype));
  const int64_t begin = first * width, total = rows * width;
  AT_DISPATCH_FLOATING_TYPES(dtype, "jitter_factors", [&] {
    scalar_t* out = factors.mutable_data_ptr<scalar_t>();
    const auto low = static_cast<scalar_t>(1.0 - jitter), step = static_cast<scalar_t>(jitter / 2147483648.0);
    for_chunks(total, kChunkElements, [&](int64_t from, int64_t to) {
      for (int64_t i = from; i < to;) {
        const int64_t place = begin + i, offset = place % kWordsPerBlock;
        const std::array<uint32_t, 4> words = random_block(key, static_cast<uint64_t>(place / kWordsPerBlock));
        for (int64_t j = offset; j < kWordsPerBlock && i < to; ++j, ++i)
          out[i] = low + step * static_cast<scalar_t>(words[static_cast<size_t>(j)]);
      }
    });
  });
  return factors;
}

at::Tensor jittered_down(const at::Tensor& x, const at::Tensor& g, double jitter, const RandomKey& key) {
  MOREX_ASSERT(x.dim() == 2 && g.dim() == 2 && x.size(1) == g.size(1));
  AutogradNode node("jittered_down", {x, g});
  const at::ScalarType wide = wide_type(x.scalar_type());
  const at::Tensor rows_of_g = g.detach().to(wide);
  const at::Tensor u = at::empty({x.size(0), g.size(0)}, x.options().dtype(wide).requires_grad(false));  // [T, Q]
  for_jittered_rows(x.detach(), jitter, key, [&](int64_t row, const at::Tensor&, const at::Tensor& jittered) {
    u.narrow(0, row, jittered.size(0)).copy_(matmul_nt(jittered, rows_of_g));
  });
  return node.record(u, {x, g}, [jitter, key](const BackwardPass& pass) -> Tensors {
    const at::Tensor &x = pass.saved[0], &g = pass.saved[1], &du = pass.grads[0];
    const at::Tensor rows_of_g = g.detach().to(du.scalar_type());
    at::Tensor dx, dg;
    if (pass.wants(0)) dx = at::empty(x.sizes(), x.options().requires_grad(false));  // [T, d]
    if (pass.wants(1)) dg = at::zeros(g.sizes(), du.options());                      // [Q, d]
    for_jittered_rows(x.detach(), jitter, key, [&](int64_t row, const at::Tensor& factors, const at::Tensor& jittered) {
      const at::Tensor du_rows = du.narrow(0, row, factors.size(0));
      if (dx.defined()) dx.narrow(0, row, factors.size(0)).copy_(matmul_nn(du_rows, rows_of_g).mul_(factors));
      if (dg.defined()) add_matmul_tn(dg, du_rows, jittered);
    });
    return {dx, dg.defined() ? dg.to(g.scalar_type()) : dg};
  });
}

}  // namespace morex::ops
