// Elementwise and row-wise work cut into fixed chunks, so that results do not depend on the number of threads.
#pragma once
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cstdint>

namespace morex::ops {

// Elements of one chunk: three float32 operands stay in a core's second-level cache.
inline constexpr int64_t kChunkElements = 16384;

// Calls f(begin, end) for the chunks of 0 … n-1, on all threads, without recording gradients.
template <typename F>
void for_chunks(int64_t n, int64_t chunk, const F& f) {
  at::parallel_for(0, (n + chunk - 1) / chunk, 1, [&](int64_t first, int64_t last) {
    const at::NoGradGuard no_grad;
    for (int64_t c = first; c < last; ++c) f(c * chunk, std::min(n, (c + 1) * chunk));
  });
}

// Rows of `width` elements that make one chunk.
inline int64_t rows_per_chunk(int64_t width) {
  return std::max<int64_t>(1, kChunkElements / std::max<int64_t>(1, width));
}

}  // namespace morex::ops
