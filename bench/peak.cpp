#include "peak.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>

#include "base/error.h"
#include "ops/gemm.h"

namespace morex::bench {
namespace {

double seconds(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

double gemm_peak(at::ScalarType dtype) {
  constexpr int64_t kTokens = 1024, kOut = 2048, kIn = 1024, kTries = 6;
  const at::Tensor x = at::full({kTokens, kIn}, 0.01, dtype), w = at::full({kOut, kIn}, 0.01, dtype),
                   dy = at::full({kTokens, kOut}, 0.01, dtype);
  const double flops = 2.0 * kTokens * kOut * kIn;
  double best = 0;
  for (int64_t i = 0; i < kTries; ++i) {
    best = std::max(best, flops / seconds([&] { ops::matmul_nt(x, w); }));
    best = std::max(best, flops / seconds([&] { ops::matmul_nn(dy, w); }));
  }
  return best / 1e9;
}

double read_bandwidth() {
  constexpr int64_t kWords = int64_t{64} << 20, kTries = 8;  // 512 MiB
  const at::Tensor buffer = at::ones({kWords}, at::kLong);
  const int64_t* data = buffer.const_data_ptr<int64_t>();
  double best = 0;
  for (int64_t i = 0; i < kTries; ++i) {
    std::atomic<int64_t> total = 0;
    const double took = seconds([&] {
      at::parallel_for(0, kWords, kWords / at::get_num_threads(), [&](int64_t begin, int64_t end) {
        int64_t sums[8] = {};
        for (int64_t j = begin; j + 8 <= end; j += 8)
          for (int64_t k = 0; k < 8; ++k) sums[k] += data[j + k];
        for (const int64_t sum : sums) total += sum;
      });
    });
    MOREX_ASSERT(total > 0);
    best = std::max(best, static_cast<double>(kWords) * 8 / took);
  }
  return best;
}

}  // namespace morex::bench
