#include <algorithm>
#include <numeric>

#include "base/checksum.h"
#include "base/error.h"
#include "base/random.h"
#include "data/batch.h"

namespace morex::data {
namespace {

// Batches of one window are alike in length; the larger the window, the less padding and the less random the batches.
constexpr int64_t kWindowBatches = 50;

}  // namespace

std::vector<std::vector<int64_t>> plan_epoch(const std::vector<Example>& examples, const BatchPlanOptions& options,
                                             int64_t epoch) {
  MOREX_CHECK(options.batch_size > 0, ErrorKind::kConfig, "[data] the batch size must be positive, got {}",
              options.batch_size);
  const auto count = static_cast<int64_t>(examples.size());
  const auto key = [&](const char* purpose) {
    return RandomKey{options.seed, stream_id(purpose), static_cast<uint64_t>(epoch)};
  };
  std::vector<int64_t> order(examples.size());
  std::iota(order.begin(), order.end(), int64_t{0});
  if (options.shuffle) order = permutation(key("data.order"), count);

  if (options.group_by_length) {
    const auto longer = [&](int64_t a, int64_t b) {
      return examples[static_cast<size_t>(a)].length() > examples[static_cast<size_t>(b)].length();
    };
    const int64_t window = kWindowBatches * options.batch_size;
    for (int64_t start = 0; start < count; start += window)
      std::stable_sort(order.begin() + start, order.begin() + std::min(start + window, count), longer);
  }

  std::vector<std::vector<int64_t>> plan;
  for (int64_t start = 0; start < count; start += options.batch_size)
    plan.emplace_back(order.begin() + start, order.begin() + std::min(start + options.batch_size, count));

  if (options.shuffle && options.group_by_length) {
    const int64_t full = count / options.batch_size;  // a smaller one stays last
    const std::vector<int64_t> places = permutation(key("data.batches"), full);
    std::vector<std::vector<int64_t>> shuffled = plan;
    for (int64_t i = 0; i < full; ++i)
      shuffled[static_cast<size_t>(i)] = plan[static_cast<size_t>(places[static_cast<size_t>(i)])];
    plan = std::move(shuffled);
  }
  return plan;
}

std::string plan_digest(const std::vector<std::vector<int64_t>>& plan) {
  Sha256 hash;
  for (const std::vector<int64_t>& batch : plan) {
    const auto size = static_cast<int64_t>(batch.size());
    hash.update(std::as_bytes(std::span(&size, 1)));
    hash.update(std::as_bytes(std::span(batch)));
  }
  return hash.hex();
}

}  // namespace morex::data
