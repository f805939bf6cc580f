#include "nn/kv_cache.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include "support/golden_tensors.h"

namespace morex::test {
namespace {

at::Tensor numbered(int64_t from, int64_t positions) {  // [2, 1, positions, 3], value = position (+100 for row 1)
  const at::Tensor p = at::arange(from, from + positions, at::kFloat).view({1, 1, positions, 1});
  return at::cat({p, p + 100}, 0).expand({2, 1, positions, 3}).contiguous();
}

TEST(KvCache, ReturnsAllPositionsSoFarAndGrows) {
  nn::KvCache cache(2, 2, 1, 3, 4, at::TensorOptions().dtype(at::kFloat));
  for (const auto& [from, count] : std::vector<std::pair<int64_t, int64_t>>{{0, 3}, {3, 1}, {4, 1}, {5, 20}}) {
    for (int64_t layer = 0; layer < 2; ++layer) {
      EXPECT_EQ(cache.length(), from);
      const auto [k, v] =
          cache.append(layer, numbered(from, count), -numbered(from, count) - static_cast<float>(layer));
      EXPECT_TRUE(same_bits(k.contiguous(), numbered(0, from + count)));
      EXPECT_TRUE(same_bits(v.contiguous(), -numbered(0, from + count) - static_cast<float>(layer)));
    }
    cache.advance(count);
  }
  EXPECT_EQ(cache.batch(), 2);
}

TEST(KvCache, TruncateForgetsAndIsOverwritten) {
  nn::KvCache cache(1, 2, 1, 3, 8, at::TensorOptions().dtype(at::kFloat));
  cache.append(0, numbered(0, 5), numbered(0, 5));
  cache.advance(5);
  cache.truncate(2);
  const auto [k, v] = cache.append(0, numbered(40, 1), numbered(50, 1));
  EXPECT_TRUE(same_bits(k.contiguous(), at::cat({numbered(0, 2), numbered(40, 1)}, 2)));
  EXPECT_TRUE(same_bits(v.contiguous(), at::cat({numbered(0, 2), numbered(50, 1)}, 2)));
}

TEST(KvCache, SelectKeepsAndRepeatsRows) {
  nn::KvCache cache(1, 2, 1, 3, 8, at::TensorOptions().dtype(at::kFloat));
  cache.append(0, numbered(0, 2), numbered(0, 2));
  cache.advance(2);
  const at::Tensor rows = at::tensor(std::vector<int64_t>{1, 1, 0});
  cache.select(rows);
  EXPECT_EQ(cache.batch(), 3);
  const at::Tensor next = numbered(2, 1).index_select(0, rows);
  const auto [k, v] = cache.append(0, next, next);
  EXPECT_TRUE(same_bits(k.contiguous(), numbered(0, 3).index_select(0, rows)));
}

TEST(KvCache, KeepsNoGradientHistory) {
  nn::KvCache cache(1, 2, 1, 3, 1, at::TensorOptions().dtype(at::kFloat));
  const at::Tensor k = numbered(0, 4).requires_grad_(true);
  EXPECT_FALSE(cache.append(0, k, k).first.requires_grad());
}

}  // namespace
}  // namespace morex::test
