#include "eval/sampling.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

namespace morex::eval {
namespace {

using Ids = std::vector<int64_t>;
const std::vector<double> kLogits = {std::log(0.1), std::log(0.4), std::log(0.2), std::log(0.3)};

GenerationOptions options(int64_t top_k, double top_p, double temperature = 1.0) {
  GenerationOptions result;
  result.temperature = temperature;
  result.top_k = top_k;
  result.top_p = top_p;
  return result;
}

void expect_candidates(const Candidates& got, const Ids& ids, const std::vector<double>& probabilities) {
  EXPECT_EQ(got.ids, ids);
  ASSERT_EQ(got.probabilities.size(), probabilities.size());
  for (size_t i = 0; i < probabilities.size(); ++i) EXPECT_NEAR(got.probabilities[i], probabilities[i], 1e-12) << i;
}

TEST(Sampling, ArgmaxTakesTheLowestOfEquals) { EXPECT_EQ(argmax(std::vector<double>{1, 3, 3, 2}), 1); }

TEST(Sampling, EverythingIsACandidateByDefault) {
  expect_candidates(candidates(kLogits, options(0, 1.0)), {0, 1, 2, 3}, {0.1, 0.4, 0.2, 0.3});
}

TEST(Sampling, TopKKeepsTheMostProbable) {
  expect_candidates(candidates(kLogits, options(2, 1.0)), {1, 3}, {0.4 / 0.7, 0.3 / 0.7});
  EXPECT_EQ(candidates(kLogits, options(9, 1.0)).ids.size(), 4u);
}

TEST(Sampling, TopPKeepsTheSmallestSetThatReachesTheMass) {
  expect_candidates(candidates(kLogits, options(0, 0.65)), {1, 3}, {0.4 / 0.7, 0.3 / 0.7});
  expect_candidates(candidates(kLogits, options(0, 0.75)), {1, 3, 2}, {0.4 / 0.9, 0.3 / 0.9, 0.2 / 0.9});
  expect_candidates(candidates(kLogits, options(0, 1e-9)), {1}, {1.0});
}

TEST(Sampling, TopPOfAFlatDistributionKeepsManyInOrder) {
  std::vector<double> logits(1000);
  for (size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<double>(i * 7919 % 1000) * 1e-6;
  const Candidates many = candidates(logits, options(0, 0.8));
  ASSERT_NEAR(static_cast<double>(many.ids.size()), 800, 1);
  for (size_t i = 1; i < many.ids.size(); ++i) ASSERT_GT(logits[many.ids[i - 1]], logits[many.ids[i]]);
  EXPECT_NEAR(std::accumulate(many.probabilities.begin(), many.probabilities.end(), 0.0), 1.0, 1e-12);
}

TEST(Sampling, TopPIsTakenOfWhatTopKLeft) {
  // Of the two kept the first has 0.571 of the mass.
  expect_candidates(candidates(kLogits, options(2, 0.55)), {1}, {1.0});
}

TEST(Sampling, TemperatureSharpens) {
  const Candidates sharp = candidates(kLogits, options(0, 1.0, 0.5));  // squares of the probabilities
  EXPECT_NEAR(sharp.probabilities[1], 0.16 / 0.30, 1e-12);
}

TEST(Sampling, DrawFollowsTheCumulatedProbability) {
  const Candidates all = candidates(kLogits, options(0, 1.0));
  EXPECT_EQ(draw(all, 0.0), 0);
  EXPECT_EQ(draw(all, 0.0999), 0);
  EXPECT_EQ(draw(all, 0.1001), 1);
  EXPECT_EQ(draw(all, 0.6), 2);
  EXPECT_EQ(draw(all, 0.999999), 3);
}

TEST(Sampling, RepetitionPenaltyLowersWhatWasSeenOnce) {
  std::vector<double> logits = {2, -2, 3};
  penalise_repetition(logits, Ids{0, 1, 1, 0}, 2.0);
  EXPECT_EQ(logits, (std::vector<double>{1, -4, 3}));
}

}  // namespace
}  // namespace morex::eval
