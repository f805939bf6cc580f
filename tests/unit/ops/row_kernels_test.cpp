#include "ops/row_kernels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace morex::test {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

TEST(RowExp, IsWithinTwoUlpOverItsWholeRangeForEveryLength) {
  for (const int64_t n : {0, 1, 3, 15, 16, 17, 1000}) {
    std::vector<float> x(static_cast<size_t>(n));
    for (int64_t i = 0; i < n; ++i)
      x[static_cast<size_t>(i)] = -86.9f + 170.0f * static_cast<float>(i) / static_cast<float>(n);
    const std::vector<float> before = x;
    const float sum = ops::row_exp(x.data(), n, 1.0f, 0.0f);
    double expected = 0.0;
    for (size_t i = 0; i < x.size(); ++i) {
      const double exact = std::exp(static_cast<double>(before[i]));
      ASSERT_NEAR(x[i], exact, 2.4e-7 * exact) << before[i];
      expected += exact;
    }
    EXPECT_NEAR(sum, expected, 1e-6 * expected);
  }
}

TEST(RowExp, MinusInfinityIsZeroAndNanStays) {
  std::vector<float> x = {-kInfinity, std::nanf(""), -200.0f, 0.0f};
  ops::row_exp(x.data(), 4, 1.0f, 0.0f);
  EXPECT_EQ(x[0], 0.0f);
  EXPECT_TRUE(std::isnan(x[1]));
  EXPECT_EQ(x[2], 0.0f);
  EXPECT_EQ(x[3], 1.0f);
}

TEST(RowMax, FindsTheLargestAnywhere) {
  EXPECT_EQ(ops::row_max(nullptr, 0), -kInfinity);
  for (size_t place = 0; place < 37; ++place) {
    std::vector<float> x(37, -5.0f);
    x[place] = -1.0f;
    EXPECT_EQ(ops::row_max(x.data(), 37), -1.0f);
  }
}

TEST(RowSoftmaxBackward, MatchesItsFormula) {
  std::vector<float> p(35), dp(35);
  for (size_t i = 0; i < 35; ++i) p[i] = 0.1f * static_cast<float>(i), dp[i] = 1.0f - 0.2f * static_cast<float>(i);
  std::vector<float> got = dp;
  ops::row_softmax_backward(p.data(), got.data(), 35, 0.25f, 0.5f);
  for (size_t i = 0; i < 35; ++i) EXPECT_NEAR(got[i], p[i] * (dp[i] - 0.25f) * 0.5f, 1e-5f);
  ops::row_scale(got.data(), 35, 2.0f);
  for (size_t i = 0; i < 35; ++i) EXPECT_NEAR(got[i], p[i] * (dp[i] - 0.25f), 1e-5f);
}

}  // namespace
}  // namespace morex::test
