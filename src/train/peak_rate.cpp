#include "train/peak_rate.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/ones.h>

#include <algorithm>
#include <chrono>

#include "ops/gemm.h"

namespace morex::train {

double measure_peak_rate(c10::ScalarType dtype) {
  constexpr int64_t kSize = 1536;
  constexpr double kSeconds = 0.4;
  constexpr int kFewest = 3;
  constexpr double kFlops = 2.0 * kSize * kSize * kSize;
  const at::Tensor a = at::ones({kSize, kSize}, dtype), b = at::ones({kSize, kSize}, dtype);
  double best = 0, spent = 0;
  for (int i = 0; i < kFewest || spent < kSeconds; ++i) {
    const auto start = std::chrono::steady_clock::now();
    ops::matmul_nt(a, b);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    best = std::max(best, kFlops / seconds);
    spent += seconds;
  }
  return best;
}

}  // namespace morex::train
