#include "ops/blocked_product.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "ops/gemm.h"
#include "support/golden_tensors.h"
#include "unit/ops/compare.h"

namespace morex::test {
namespace {

at::Tensor numbers(int64_t rows, int64_t columns, uint64_t seed, at::ScalarType type) {
  return random_tensor({rows, columns}, seed).to(type);
}

bool applies(const at::Tensor& a, const at::Tensor& b) {
  return ops::blocked_products_apply(at::empty({a.size(0), b.size(1)}, a.options()), {{a, b}});
}

at::Tensor product(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor out = at::empty({a.size(0), b.size(1)}, a.options());
  ops::blocked_products(out, {{a, b}}, false);
  return out;
}

// For each type that has blocked products on this processor.
class BlockedProduct : public testing::TestWithParam<at::ScalarType> {
 protected:
  void SetUp() override {
    if (!applies(numbers(64, 64, 1, type()), numbers(64, 64, 2, type())))
      GTEST_SKIP() << "no blocked products of " << type() << " on this processor";
  }
  static at::ScalarType type() { return GetParam(); }
};

TEST_P(BlockedProduct, MatchesFloat64) {
  for (const int64_t rows : {32, 33, 64, 127, 1025}) {
    for (const int64_t columns : {32, 40, 64, 65, 300}) {
      for (const int64_t depth : {64, 66, 1024, 1026}) {
        SCOPED_TRACE(testing::Message() << rows << " x " << depth << " x " << columns);
        const at::Tensor a = numbers(rows, depth, 1, type()), b = numbers(depth, columns, 2, type());
        expect_product(product(a, b), a, b);
        const at::Tensor w = numbers(columns, depth, 3, type());
        expect_product(product(a, w.t()), a, w.t());
      }
    }
  }
}

TEST_P(BlockedProduct, AddsLongSumsToo) {
  for (const int64_t depth : {70, 3000, 16386, 20000, 32770}) {
    SCOPED_TRACE(depth);
    const at::Tensor a = numbers(90, depth, 1, type()), b = numbers(depth, 100, 2, type());
    const at::Tensor before = numbers(90, 100, 3, type()), out = before.clone();
    ops::blocked_products(out, {{a, b}}, true);
    expect_product(out, a, b, before);
    ops::blocked_products(out, {{a, b}}, false);
    expect_product(out, a, b);
  }
}

// As a gradient is summed: products of a wide and a narrow depth, and one that needs several rounds.
TEST_P(BlockedProduct, SumsSeveral) {
  constexpr int64_t kRows = 150, kColumns = 70;
  const std::vector<int64_t> depths = {200, 1500, 16, 2, 1100};
  std::vector<ops::Factors> products;
  std::vector<at::Tensor> as, bs;
  for (size_t i = 0; i < depths.size(); ++i) {
    as.push_back(numbers(kRows, depths[i], 2 * i, type()));
    bs.push_back(numbers(depths[i], kColumns, 2 * i + 1, type()));
    products.push_back({as[i], i % 2 == 0 ? bs[i] : bs[i].t().contiguous().t()});
    SCOPED_TRACE(i);
    const at::Tensor before = numbers(kRows, kColumns, 99, type()), out = before.clone();
    ASSERT_TRUE(ops::blocked_products_apply(out, products));
    ops::blocked_products(out, products, true);
    expect_product(out, at::cat(as, 1), at::cat(bs, 0), before);
    ops::blocked_products(out, products, false);
    expect_product(out, at::cat(as, 1), at::cat(bs, 0));
  }
}

TEST_P(BlockedProduct, ReadsAndWritesSlices) {
  constexpr int64_t kRows = 75, kColumns = 66, kDepth = 130;
  const at::Tensor a = numbers(kRows, 3 * kDepth, 1, type()).narrow(1, 7, kDepth);
  const at::Tensor b = numbers(kDepth, 2 * kColumns, 2, type()).narrow(1, 3, kColumns);
  const at::Tensor w = numbers(kColumns, 2 * kDepth, 3, type()).narrow(1, 2, kDepth).t();
  for (const at::Tensor& right : {b, w}) {
    const at::Tensor wide = numbers(kRows, 3 * kColumns, 4, type()), before = wide.clone();
    ops::blocked_products(wide.narrow(1, kColumns, kColumns), {{a, right}}, false);
    expect_product(wide.narrow(1, kColumns, kColumns), a, right);
    for (const int64_t beside : {int64_t{0}, 2 * kColumns})
      EXPECT_TRUE(same_bits(wide.narrow(1, beside, kColumns), before.narrow(1, beside, kColumns)));
  }
}

TEST_P(BlockedProduct, DependsNeitherOnThreadsNorOnOtherRows) {
  const int threads = at::get_num_threads();
  for (const int64_t depth : {200, 2500, 16386, 17000}) {
    SCOPED_TRACE(depth);
    const at::Tensor a = numbers(400, depth, 1, type()), w = numbers(200, depth, 2, type());
    at::set_num_threads(1);
    const at::Tensor whole = product(a, w.t());
    for (const int count : {2, 3, 7}) {
      at::set_num_threads(count);
      EXPECT_TRUE(same_bits(product(a, w.t()), whole)) << count << " threads";
    }
    at::set_num_threads(threads);
    for (const int64_t first : {1, 130, 300})
      EXPECT_TRUE(same_bits(product(a.narrow(0, first, 99), w.t()), whole.narrow(0, first, 99))) << first;
    EXPECT_TRUE(same_bits(product(a, w.narrow(0, 7, 70).t()), whole.narrow(1, 7, 70)));
  }
}

TEST_P(BlockedProduct, NotANumberStaysInItsRow) {
  const at::Tensor a = numbers(100, 64, 1, type()), w = numbers(64, 64, 2, type());
  a[17][5] = std::numeric_limits<double>::quiet_NaN();
  const at::Tensor bad = product(a, w.t()).isnan().any(1);  // [100]
  EXPECT_TRUE(bad[17].item<bool>());
  EXPECT_EQ(bad.sum().item<int64_t>(), 1);
}

TEST_P(BlockedProduct, LeavesOtherProductsAlone) {
  const at::Tensor a = numbers(64, 64, 1, type()), b = numbers(64, 64, 2, type());
  EXPECT_FALSE(applies(a.to(at::kDouble), b.to(at::kDouble)));
  EXPECT_FALSE(applies(a.narrow(0, 0, 8), b));  // few rows
  EXPECT_FALSE(applies(a.t(), b));              // a gradient of weights
  EXPECT_FALSE(applies(a.narrow(0, 0, 1).expand({64, 64}), b));
  const bool pairs = type() == at::kBFloat16;
  const at::Tensor deep = numbers(64, 130, 3, type()), odd = numbers(64, 129, 4, type());
  EXPECT_NE(applies(deep.narrow(1, 0, 127), numbers(127, 64, 5, type())), pairs);
  EXPECT_TRUE(applies(deep.narrow(1, 0, 128), deep.narrow(1, 0, 128).t()));
  EXPECT_NE(applies(deep.narrow(1, 0, 128), deep.narrow(1, 1, 128).t()), pairs);  // begins between two words
  EXPECT_NE(applies(deep.narrow(1, 0, 128), odd.narrow(1, 0, 128).t()), pairs);   // an odd stride
}

// The calls of gemm.h give the same numbers whichever way they go.
TEST_P(BlockedProduct, IsWhatProductsOfSomeSizeGoTo) {
  const at::Tensor x = numbers(70, 96, 1, type()), w = numbers(80, 96, 2, type());
  EXPECT_TRUE(same_bits(ops::matmul_nt(x, w), product(x, w.t())));
  const at::Tensor dy = numbers(70, 80, 3, type());
  EXPECT_TRUE(same_bits(ops::matmul_nn(dy, w), product(dy, w)));
}

INSTANTIATE_TEST_SUITE_P(All, BlockedProduct, testing::Values(at::kFloat, at::kBFloat16),
                         [](const auto& info) { return std::string(at::toString(info.param)); });

}  // namespace
}  // namespace morex::test
