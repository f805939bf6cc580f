#include "eval/loss.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "fakes.h"

namespace morex::eval {
namespace {

constexpr int64_t kNo = data::kIgnoreLabel;

data::Example example(std::vector<int64_t> ids, std::vector<int64_t> labels) {
  data::Example result;
  result.ids = std::move(ids);
  result.labels = std::move(labels);
  return result;
}

std::vector<data::Example> examples() {
  return {example({1, 40, 41}, {kNo, 40, 41}), example({1, 50, 51, 52, 53}, {kNo, kNo, 51, kNo, 53}),
          example({1, 60}, {1, 60}), example({1, 70, 71, 72}, {kNo, kNo, kNo, kNo})};
}

TEST(Loss, SumsSupervisedTokensWhateverTheBatch) {
  const test::FakeLm model;
  double expected = 0;
  for (const data::Example& e : examples()) {
    const std::vector<double> log_probs = test::log_probs_of(model, e.ids);
    for (size_t t = 1; t < e.ids.size(); ++t) {
      if (e.labels[t] != kNo) expected -= log_probs[t - 1];
    }
  }
  for (const int64_t batch_size : {1, 2, 3, 16}) {
    const LossResult got = evaluate_loss(model, examples(), batch_size, 0);
    EXPECT_EQ(got.tokens, 5);
    EXPECT_NEAR(got.nll_sum, expected, 1e-12) << batch_size;
    EXPECT_NEAR(got.mean(), expected / 5, 1e-12);
    EXPECT_NEAR(got.perplexity(), std::exp(expected / 5), 1e-9);
  }
}

TEST(Loss, OnlySupervisedRowsGoThroughTheHead) {
  const test::FakeLm model;
  evaluate_loss(model, examples(), 4, 0);
  EXPECT_EQ(model.rows_in_head, 5);
}

TEST(Loss, ReportsProgressAndHandlesNothing) {
  const test::FakeLm model;
  std::vector<int64_t> seen;
  evaluate_loss(model, examples(), 3, 0, [&](int64_t done, int64_t) { seen.push_back(done); });
  EXPECT_EQ(seen, (std::vector<int64_t>{3, 4}));
  EXPECT_EQ(evaluate_loss(model, {}, 3, 0).mean(), 0.0);
  EXPECT_THROW(evaluate_loss(model, examples(), 0, 0), Error);
}

}  // namespace
}  // namespace morex::eval
