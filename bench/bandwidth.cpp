#include "bandwidth.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/ones.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>

#include "base/error.h"

namespace morex::bench {
namespace {

double seconds(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

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
