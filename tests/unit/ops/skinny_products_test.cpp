#include "ops/skinny_products.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <gtest/gtest.h>

#include <limits>

#include "base/system.h"
#include "support/golden_tensors.h"
#include "unit/ops/compare.h"

namespace morex::test {
namespace {

class SkinnyProducts : public testing::Test {
 protected:
  void SetUp() override {
    if (!cpu_features().avx512_bf16 || !cpu_features().avx512_bw_dq_vl) GTEST_SKIP() << "no bfloat16 dot products";
  }
};

at::Tensor numbers(int64_t rows, int64_t columns, uint64_t seed) {
  return random_tensor({rows, columns}, seed).to(at::kBFloat16);
}

at::Tensor product(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor out = at::empty({a.size(0), b.size(1)}, a.options());
  EXPECT_TRUE(ops::skinny_apply(out, a, b, false));
  ops::skinny_product(out, a, b, false);
  return out;
}

TEST_F(SkinnyProducts, MatchFloat64ForEveryCount) {
  for (const int64_t ranks : {1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 33, 128}) {
    for (const int64_t rows : {1, 2, 31, 33, 66}) {
      for (const int64_t width : {1, 15, 16, 31, 32, 33, 64, 97}) {
        SCOPED_TRACE(testing::Message() << "ranks " << ranks << " rows " << rows << " width " << width);
        const at::Tensor x = numbers(rows, width, 1), w = numbers(ranks, width, 2), z = numbers(rows, ranks, 3);
        expect_product(product(x, w.t()), x, w.t());
        expect_product(product(z.t(), x), z.t(), x);
      }
    }
  }
}

TEST_F(SkinnyProducts, ReadAndWriteSlices) {
  constexpr int64_t kRows = 45, kWidth = 70, kRanks = 20;
  const at::Tensor x = numbers(kRows, 3 * kWidth, 1).narrow(1, kWidth - 1, kWidth);
  const at::Tensor w = numbers(kRanks, 2 * kWidth, 2).narrow(1, 3, kWidth);
  const at::Tensor z = numbers(kRows, 2 * kRanks, 3).narrow(1, 7, kRanks);
  for (const auto& [a, b] : {std::pair{x, w.t()}, std::pair{z.t(), x}}) {
    const at::Tensor wide = numbers(a.size(0), 3 * b.size(1), 4), before = wide.clone();
    const at::Tensor out = wide.narrow(1, b.size(1), b.size(1));
    ASSERT_TRUE(ops::skinny_apply(out, a, b, false));
    ops::skinny_product(out, a, b, false);
    expect_product(out, a, b);
    for (const int64_t beside : {int64_t{0}, 2 * b.size(1)})
      EXPECT_TRUE(same_bits(wide.narrow(1, beside, b.size(1)), before.narrow(1, beside, b.size(1))));
  }
}

TEST_F(SkinnyProducts, GradientsMayBeAddedAndWider) {
  for (const int64_t ranks : {1, 8, 17, 40}) {
    for (const int64_t width : {5, 16, 40, 97}) {
      const at::Tensor z = numbers(45, ranks, 1), x = numbers(45, width, 2);
      for (const at::ScalarType type : {at::kBFloat16, at::kFloat}) {
        for (const bool accumulate : {false, true}) {
          SCOPED_TRACE(testing::Message() << "ranks " << ranks << " width " << width << " " << type << accumulate);
          const at::Tensor before = numbers(ranks, width, 3).to(type), out = before.clone();
          ASSERT_TRUE(ops::skinny_apply(out, z.t(), x, accumulate));
          ops::skinny_product(out, z.t(), x, accumulate);
          expect_product(out, z.t(), x, accumulate ? before : at::Tensor());
        }
      }
    }
  }
}

TEST_F(SkinnyProducts, DependNeitherOnThreadsNorOnOtherRows) {
  const at::Tensor x = numbers(300, 200, 1), w = numbers(24, 200, 2), z = numbers(300, 24, 3);
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const at::Tensor down = product(x, w.t()), gradient = product(z.t(), x);
  at::set_num_threads(2);
  EXPECT_TRUE(same_bits(product(x, w.t()), down));
  EXPECT_TRUE(same_bits(product(z.t(), x), gradient));
  at::set_num_threads(threads);
  for (const int64_t first : {0, 1, 130})
    EXPECT_TRUE(same_bits(product(x.narrow(0, first, 150), w.t()), down.narrow(0, first, 150)));
}

TEST_F(SkinnyProducts, NotANumberStaysWhereItIs) {
  const at::Tensor x = numbers(40, 64, 1), w = numbers(16, 64, 2);
  x[17][5] = std::numeric_limits<double>::quiet_NaN();
  const at::Tensor bad = product(x, w.t()).isnan().any(1);  // [40]
  EXPECT_TRUE(bad[17].item<bool>());
  EXPECT_EQ(bad.sum().item<int64_t>(), 1);
}

TEST_F(SkinnyProducts, LeaveOtherProductsAlone) {
  const auto apply = [](const at::Tensor& a, const at::Tensor& b) {
    return ops::skinny_apply(at::empty({a.size(0), b.size(1)}, a.options()), a, b, false);
  };
  const at::Tensor x = numbers(40, 64, 1), w = numbers(16, 64, 2);
  EXPECT_FALSE(apply(x.to(at::kFloat), w.t().to(at::kFloat)));
  EXPECT_FALSE(apply(x, numbers(64, 16, 3)));  // x·b with ranks of rows
  EXPECT_FALSE(apply(x, numbers(ops::kSkinny + 1, 64, 3).t()));
  EXPECT_FALSE(apply(x.narrow(0, 0, 1).expand({40, 64}), w.t()));
}

}  // namespace
}  // namespace morex::test
