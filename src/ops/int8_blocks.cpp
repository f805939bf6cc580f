#include "ops/int8_blocks.h"

#include <ATen/Dispatch.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "ops/chunks.h"
#include "ops/int8_blocks_reference.h"
#include "ops/time_recorder.h"
#include "ops/vector_loops.h"
#include "ops/wide.h"

namespace morex::ops {
namespace {

constexpr int64_t kPieceElements = int64_t{1} << 20;
constexpr float kLevels = 127.0f;

[[gnu::always_inline]] inline float largest_magnitude(const float* x, int64_t n) {
  float largest = 0.0f;
#pragma omp simd reduction(max : largest)
  for (int64_t i = 0; i < n; ++i) largest = std::max(largest, std::fabs(x[i]));
  return largest;
}

// Nearest integers of x·inverse within ±127.
[[gnu::always_inline]] inline void round_block(const float* x, float inverse, int8_t* q, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const float nearest = std::rint(x[i] * inverse);  // ties to even
    q[i] = static_cast<int8_t>(static_cast<int32_t>(std::min(kLevels, std::max(-kLevels, nearest))));
  }
}

[[gnu::always_inline]] inline void quantize_row(const float* x, int8_t* q, c10::Half* scales, int64_t n) {
  for (int64_t b = 0; b * kInt8Block < n; ++b) {
    const int64_t at = b * kInt8Block, count = std::min(kInt8Block, n - at);
    scales[b] = c10::Half(largest_magnitude(x + at, count) / kLevels);
    const float scale = scales[b];
    round_block(x + at, scale > 0.0f ? 1.0f / scale : 0.0f, q + at, count);
  }
}

template <typename T, typename S>
[[gnu::always_inline]] inline void scale_block(const int8_t* q, S scale, T* out, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) out[i] = narrow<T>(static_cast<S>(q[i]) * scale);
}

template <typename T, typename S>
[[gnu::always_inline]] inline void dequantize_row(const int8_t* q, const S* scales, T* out, int64_t n) {
  const int64_t whole = n / kInt8Block;
  for (int64_t b = 0; b < whole; ++b) {
    scale_block(q + b * kInt8Block, scales[b], out + b * kInt8Block, kInt8Block);
  }
  scale_block(q + whole * kInt8Block, whole * kInt8Block < n ? scales[whole] : S(0), out + whole * kInt8Block,
              n - whole * kInt8Block);
}

}  // namespace

Int8Blocks quantize_int8(const at::Tensor& w) {
  MOREX_ASSERT(w.dim() == 2 && at::isFloatingType(w.scalar_type()));
  if (!w.is_cpu()) return reference::quantize_int8(w);
  const at::NoGradGuard no_grad;
  const int64_t rows = w.size(0), width = w.size(1), blocks = (width + kInt8Block - 1) / kInt8Block;
  const Int8Blocks out{at::empty({rows, width}, at::kChar), at::empty({rows, blocks}, at::kHalf)};
  auto* const q = out.values.mutable_data_ptr<int8_t>();
  auto* const scales = out.scales.mutable_data_ptr<c10::Half>();
  const int64_t piece = std::max<int64_t>(1, kPieceElements / std::max<int64_t>(1, width));
  for (int64_t first = 0; first < rows; first += piece) {
    const int64_t count = std::min(piece, rows - first);
    const at::Tensor part = w.narrow(0, first, count).to(at::kFloat).contiguous();
    const auto* const x = part.const_data_ptr<float>();
    for_chunks(count, rows_per_chunk(width), [&](int64_t begin, int64_t end) {
      in_vectors([&]() __attribute__((always_inline)) {
        for (int64_t r = begin; r < end; ++r) {
          quantize_row(x + r * width, q + (first + r) * width, scales + (first + r) * blocks, width);
        }
      });
    });
  }
  return out;
}

void dequantize_into(const at::Tensor& out, const Int8Blocks& blocks, int64_t first_row, int64_t first_column) {
  const int64_t rows = out.size(0), width = out.size(1);
  MOREX_ASSERT(out.is_contiguous() && first_column % kInt8Block == 0);
  MOREX_ASSERT(first_row + rows <= blocks.values.size(0) && first_column + width <= blocks.values.size(1));
  const at::NoGradGuard no_grad;
  const TimedScope timed("dequantize_int8");
  const at::Tensor values = blocks.values.narrow(0, first_row, rows).narrow(1, first_column, width);
  const int64_t first_block = first_column / kInt8Block, block_count = (width + kInt8Block - 1) / kInt8Block;
  const at::Tensor stored = blocks.scales.narrow(0, first_row, rows).narrow(1, first_block, block_count);
  if (!out.is_cpu()) {
    out.copy_(reference::dequantize_int8({values, stored}, out.scalar_type()));
    return;
  }
  MOREX_ASSERT(values.stride(1) == 1);
  const int64_t stride = values.stride(0);
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, out.scalar_type(), "dequantize_int8", [&] {
    using Scale = Wide<scalar_t>;
    const at::Tensor scales = stored.to(c10::CppTypeToScalarType<Scale>::value).contiguous();
    const auto* const q = values.const_data_ptr<int8_t>();
    const auto* const s = scales.const_data_ptr<Scale>();
    auto* const to = out.mutable_data_ptr<scalar_t>();
    for_chunks(rows, rows_per_chunk(width), [&](int64_t begin, int64_t end) {
      in_vectors([&]() __attribute__((always_inline)) {
        for (int64_t r = begin; r < end; ++r) {
          dequantize_row(q + r * stride, s + r * block_count, to + r * width, width);
        }
      });
    });
  });
}

at::Tensor dequantize_int8(const Int8Blocks& blocks, at::ScalarType dtype) {
  return dequantize_int8_rows(blocks, 0, blocks.values.size(0), dtype);
}

at::Tensor dequantize_int8_rows(const Int8Blocks& blocks, int64_t first, int64_t count, at::ScalarType dtype) {
  const at::Tensor out = at::empty({count, blocks.values.size(1)}, blocks.values.options().dtype(dtype));
  dequantize_into(out, blocks, first, 0);
  return out;
}

}  // namespace morex::ops
