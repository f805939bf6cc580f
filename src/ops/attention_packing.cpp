#include "ops/attention_packing.h"

#include <ATen/Dispatch.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <xmmintrin.h>

#include <algorithm>

#include "base/error.h"
#include "ops/chunks.h"
#include "ops/dense_rows.h"
#include "ops/vector_loops.h"

namespace morex::ops {
namespace {

// Calls f(b, h, first row, last row) for blocks of rows of every head, on all threads.
template <typename F>
void for_blocks(const at::Tensor& t, int64_t rows, const F& f) {
  const int64_t heads = t.size(1), blocks = (rows + kAttentionBlock - 1) / kAttentionBlock;
  const int64_t some = std::max<int64_t>(1, kChunkElements / (kAttentionBlock * t.size(3)));
  for_chunks(t.size(0) * heads * blocks, some, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t bh = i / blocks, first = i % blocks * kAttentionBlock;
      f(bh / heads, bh % heads, first, std::min(rows, first + kAttentionBlock));
    }
  });
}

template <typename T>
[[gnu::always_inline]] inline float dot(const T* a, const T* b, int64_t n) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) sum += widen(a[i]) * widen(b[i]);
  return sum;
}

}  // namespace

void turn_block(const float* from, int64_t from_stride, int64_t rows, int64_t columns, float* to, int64_t to_stride) {
  for (int64_t i = 0; i < rows; i += 4) {
    int64_t j = 0;
    for (; j + 4 <= columns; j += 4) {
      const float* block = from + i * from_stride + j;
      __m128 a = _mm_loadu_ps(block), b = _mm_loadu_ps(block + from_stride);
      __m128 c = _mm_loadu_ps(block + 2 * from_stride), d = _mm_loadu_ps(block + 3 * from_stride);
      _MM_TRANSPOSE4_PS(a, b, c, d);
      _mm_storeu_ps(to + j * to_stride + i, a);
      _mm_storeu_ps(to + (j + 1) * to_stride + i, b);
      _mm_storeu_ps(to + (j + 2) * to_stride + i, c);
      _mm_storeu_ps(to + (j + 3) * to_stride + i, d);
    }
    for (; j < columns; ++j)
      for (int64_t r = i; r < i + 4; ++r) to[j * to_stride + r] = from[r * from_stride + j];
  }
}

at::Tensor packed_rows(const at::Tensor& t_in) {
  const at::Tensor t = with_dense_rows(t_in);
  const int64_t heads = t.size(1), length = t.size(2), width = t.size(3), rows = padded_to_block(length);
  const at::Tensor packed = at::empty({t.size(0), heads, rows, width}, t.options().dtype(at::kFloat));
  const at::IntArrayRef in = t.strides();
  float* to = packed.mutable_data_ptr<float>();
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, t.scalar_type(), "packed_rows", [&] {
    const scalar_t* from = t.const_data_ptr<scalar_t>();
    for_blocks(t, rows, [&](int64_t b, int64_t h, int64_t first, int64_t last) {
      float* out = to + (b * heads + h) * rows * width;
      in_vectors([&]() __attribute__((always_inline)) {
        for (int64_t n = first; n < std::min(last, length); ++n)
          convert_row(from + b * in[0] + h * in[1] + n * in[2], out + n * width, width);
      });
      const int64_t behind = std::max(first, length);
      if (behind < last) std::fill(out + behind * width, out + last * width, 0.0f);
    });
  });
  return packed;
}

at::Tensor packed_columns(const at::Tensor& rows) {
  MOREX_ASSERT(rows.is_contiguous() && rows.size(2) % kAttentionBlock == 0);
  const int64_t heads = rows.size(1), length = rows.size(2), width = rows.size(3);
  const at::Tensor columns = at::empty({rows.size(0), heads, width, length}, rows.options());
  const float* from = rows.const_data_ptr<float>();
  float* to = columns.mutable_data_ptr<float>();
  for_blocks(rows, length, [&](int64_t b, int64_t h, int64_t first, int64_t) {
    const int64_t head = (b * heads + h) * length * width;
    turn_block(from + head + first * width, width, kAttentionBlock, width, to + head + first, length);
  });
  return columns;
}

at::Tensor unpacked(const at::Tensor& rows, int64_t length, at::ScalarType type) {
  MOREX_ASSERT(rows.is_contiguous());
  const int64_t heads = rows.size(1), padded = rows.size(2), width = rows.size(3);
  const at::Tensor t = empty_heads(rows.size(0), heads, length, width, rows.options().dtype(type));
  const at::IntArrayRef out = t.strides();
  const float* from = rows.const_data_ptr<float>();
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, type, "unpacked", [&] {
    scalar_t* to = t.mutable_data_ptr<scalar_t>();
    for_blocks(rows, length, [&](int64_t b, int64_t h, int64_t first, int64_t last) {
      const float* in = from + (b * heads + h) * padded * width;
      in_vectors([&]() __attribute__((always_inline)) {
        for (int64_t n = first; n < last; ++n)
          convert_row(in + n * width, to + b * out[0] + h * out[1] + n * out[2], width);
      });
    });
  });
  return t;
}

at::Tensor row_products(const at::Tensor& a_in, const at::Tensor& b_in) {
  const at::Tensor a = with_dense_rows(a_in), b = with_dense_rows(b_in);
  MOREX_ASSERT(a.sizes() == b.sizes() && a.scalar_type() == b.scalar_type());
  const int64_t heads = a.size(1), length = a.size(2), width = a.size(3);
  const at::Tensor sums = at::empty({a.size(0), heads, length}, a.options().dtype(at::kFloat));
  const at::IntArrayRef sa = a.strides(), sb = b.strides();
  float* to = sums.mutable_data_ptr<float>();
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, a.scalar_type(), "row_products", [&] {
    const scalar_t *as = a.const_data_ptr<scalar_t>(), *bs = b.const_data_ptr<scalar_t>();
    for_blocks(a, length, [&](int64_t i, int64_t h, int64_t first, int64_t last) {
      in_vectors([&]() __attribute__((always_inline)) {
        for (int64_t n = first; n < last; ++n)
          to[(i * heads + h) * length + n] =
              dot(as + i * sa[0] + h * sa[1] + n * sa[2], bs + i * sb[0] + h * sb[1] + n * sb[2], width);
      });
    });
  });
  return sums;
}

}  // namespace morex::ops
