#include "ops/int8_products.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <algorithm>

#include "base/error.h"
#include "ops/chunks.h"
#include "ops/gemm.h"
#include "ops/time_recorder.h"
#include "ops/vector_loops.h"

namespace morex::ops {
namespace {

// Calls f(first, count) for tiles of 0 … n-1 of at most `tile` each, a multiple of `step`.
template <typename F>
void for_tiles(int64_t n, int64_t tile, int64_t step, const F& f) {
  tile = std::max(step, tile / step * step);
  for (int64_t first = 0; first < n; first += tile) f(first, std::min(tile, n - first));
}

// So few rows of x cost less than reading the weight: its integers are used as they lie.
constexpr int64_t kDirectRows = 4;

// The sum of x[i]·q[i]·scale, in one lane for each place in a block.
[[gnu::always_inline]] inline float dot(const float* x, const int8_t* q, const float* scales, int64_t n) {
  float lanes[kInt8Block] = {}, sum = 0.0f;
  const int64_t whole = n / kInt8Block;
  for (int64_t b = 0; b < whole; ++b) {
#pragma omp simd
    for (int64_t i = 0; i < kInt8Block; ++i) {
      const int64_t at = b * kInt8Block + i;
      lanes[i] += static_cast<float>(q[at]) * scales[b] * x[at];
    }
  }
  for (int64_t i = whole * kInt8Block; i < n; ++i) sum += static_cast<float>(q[i]) * scales[whole] * x[i];
  for (const float lane : lanes) sum += lane;
  return sum;
}

at::Tensor direct_product(const at::Tensor& given, const Int8Blocks& weight) {
  const int64_t rows = given.size(0), outputs = weight.values.size(0), inputs = weight.values.size(1);
  const at::Tensor x = given.to(at::kFloat).contiguous(), scales = weight.scales.to(at::kFloat).contiguous();
  const at::Tensor y = at::empty({rows, outputs}, x.options());
  const int64_t stride = weight.values.stride(0), blocks = scales.size(1);
  const auto* const q = weight.values.const_data_ptr<int8_t>();
  const auto *const s = scales.const_data_ptr<float>(), *const from = x.const_data_ptr<float>();
  auto* const to = y.mutable_data_ptr<float>();
  for_chunks(outputs, rows_per_chunk(inputs), [&](int64_t begin, int64_t end) {
    in_vectors([&]() __attribute__((always_inline)) {
      for (int64_t o = begin; o < end; ++o) {
        for (int64_t t = 0; t < rows; ++t) {
          to[t * outputs + o] = dot(from + t * inputs, q + o * stride, s + o * blocks, inputs);
        }
      }
    });
  });
  count_flops(2.0 * static_cast<double>(rows) * static_cast<double>(weight.values.numel()), at::kFloat);
  return y.to(given.scalar_type());
}

template <typename Product>
void by_columns(const at::Tensor& dx, const Int8Blocks& weight, const Product& product) {
  const int64_t outputs = weight.values.size(0), inputs = weight.values.size(1);
  MOREX_ASSERT(dx.dim() == 2 && dx.size(1) == inputs);
  at::Tensor buffer;
  for_tiles(inputs, kInt8TileElements / std::max<int64_t>(1, outputs), kInt8Block, [&](int64_t first, int64_t count) {
    if (!buffer.defined()) buffer = at::empty({outputs * count}, dx.options());  // the first tile is the largest
    const at::Tensor w = buffer.narrow(0, 0, outputs * count).view({outputs, count});
    dequantize_into(w, weight, 0, first);
    product(dx.narrow(1, first, count), w);
  });
}

}  // namespace

at::Tensor int8_matmul_nt(const at::Tensor& x, const Int8Blocks& weight) {
  const int64_t outputs = weight.values.size(0), inputs = weight.values.size(1);
  MOREX_ASSERT(x.dim() == 2 && x.size(1) == inputs);
  if (x.size(0) <= kDirectRows && x.is_cpu() && x.scalar_type() != at::kDouble)
    return direct_product(x.detach(), weight);
  const at::Tensor y = at::empty({x.size(0), outputs}, x.options().requires_grad(false));
  at::Tensor buffer;
  for_tiles(outputs, kInt8TileElements / std::max<int64_t>(1, inputs), 1, [&](int64_t first, int64_t count) {
    if (!buffer.defined()) buffer = at::empty({count, inputs}, y.options());
    const at::Tensor w = buffer.narrow(0, 0, count);
    dequantize_into(w, weight, first, 0);
    set_matmul_nt(y.narrow(1, first, count), x, w);
  });
  return y;
}

void set_int8_matmul_nn(const at::Tensor& dx, const at::Tensor& dy, const Int8Blocks& weight) {
  by_columns(dx, weight, [&](const at::Tensor& columns, const at::Tensor& w) { set_matmul_nn(columns, dy, w); });
}

void add_int8_matmul_nn(const at::Tensor& dx, const at::Tensor& dy, const Int8Blocks& weight) {
  by_columns(dx, weight, [&](const at::Tensor& columns, const at::Tensor& w) { add_matmul_nn(columns, dy, w); });
}

}  // namespace morex::ops
