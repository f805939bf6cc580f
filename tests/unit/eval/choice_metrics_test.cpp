#include "eval/choice_metrics.h"

#include <gtest/gtest.h>

#include <cmath>

namespace morex::eval {
namespace {

TEST(ChoiceMetrics, LengthsAreCharactersAndBytes) {
  // Per character: -1, -1.2; per byte: -1, -0.4.
  const Prediction got = predict({"abcdef", "日本日本日"}, std::vector<double>{-6.0, -6.0 - 1e-9});
  EXPECT_EQ(got.pred, 0);
  EXPECT_EQ(got.pred_norm, 0);
  EXPECT_EQ(got.pred_bytes, 1);
}

TEST(ChoiceMetrics, TheFirstOfEqualsWins) {
  const Prediction got = predict({"ab", "cd", "ef"}, std::vector<double>{-2, -1, -1});
  EXPECT_EQ(got.pred, 1);
  EXPECT_EQ(got.pred_norm, 1);
  EXPECT_EQ(got.pred_bytes, 1);
}

TEST(ChoiceMetrics, StandardErrorOfTheMean) {
  const MeanScore got = mean_score(std::vector<double>{1, 0, 0, 1, 1});
  EXPECT_NEAR(got.mean, 0.6, 1e-15);
  EXPECT_NEAR(got.standard_error, std::sqrt(0.3 / 5), 1e-15);
  EXPECT_TRUE(std::isnan(mean_score(std::vector<double>{1}).standard_error));
}

}  // namespace
}  // namespace morex::eval
