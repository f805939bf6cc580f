#include "eval/scoring.h"

#include <gtest/gtest.h>

#include <numeric>

#include "base/error.h"
#include "fakes.h"

namespace morex::eval {
namespace {

using Ids = std::vector<int64_t>;

Request request(Ids context, const Ids& continuation) {
  Request result;
  context.insert(context.end(), continuation.begin(), continuation.end());
  if (!context.empty()) context.pop_back();
  result.input = std::move(context);
  result.continuation = continuation;
  return result;
}

double full_score(const models::CausalLm& model, const Request& request) {
  Ids all = request.input;
  all.push_back(request.continuation.back());
  const std::vector<double> log_probs = test::log_probs_of(model, all);
  return std::accumulate(log_probs.end() - static_cast<int64_t>(request.continuation.size()), log_probs.end(), 0.0);
}

TEST(Scoring, EqualsTheFullForwardInAnyBatching) {
  const test::FakeLm model;
  const std::vector<Request> requests = {request({1, 40, 41}, {50, 51, 52}), request({1, 40, 41}, {60}),
                                         request({1}, {70, 71}), request({1, 9, 8, 7, 6, 5}, {4}),
                                         request({1, 40, 41}, {61})};
  for (const int64_t tokens : {1, 7, 2048}) {
    const std::vector<Score> scores = score_requests(model, requests, tokens);
    ASSERT_EQ(scores.size(), requests.size());
    for (size_t i = 0; i < requests.size(); ++i) {
      EXPECT_NEAR(scores[i].log_likelihood, full_score(model, requests[i]), 1e-12) << i << ' ' << tokens;
    }
  }
}

TEST(Scoring, RequestsWithTheSameInputShareARowAndOneHeadRow) {
  const test::FakeLm model;
  score_requests(model, {request({1, 40, 41}, {60}), request({1, 40, 41}, {61}), request({1, 40, 41}, {62})}, 2048);
  EXPECT_EQ(model.rows_read, 3);
  EXPECT_EQ(model.rows_in_head, 1);
}

TEST(Scoring, ContinuationsOfOnePromptReadItOnce) {
  const test::FakeLm model;
  const std::vector<Request> requests = {request({1, 40, 41}, {60, 61, 62}), request({1, 40, 41}, {60}),
                                         request({1, 40, 41}, {63, 64}), request({1, 40, 41}, {60, 61, 65}),
                                         request({1, 40}, {41, 60, 61, 62})};
  const std::vector<Score> scores = score_requests(model, requests, 1);  // one row a forward: no padding
  // The prompt and three branches of 2, 0, 1 ids (the first and the fourth read the same); the last has its own prompt.
  EXPECT_EQ(model.rows_read, 3 + 2 + 0 + 1 + 5);
  for (size_t i = 0; i < requests.size(); ++i)
    EXPECT_NEAR(scores[i].log_likelihood, full_score(model, requests[i]), 1e-12) << i;
}

class ReadsOthers : public nn::GroupAdapter {
 public:
  void apply(const at::Tensor&, nn::GroupOutputs&, const nn::BatchContext&, nn::RoutingReport&) const override {}
  bool reads_other_tokens() const override { return true; }
};

TEST(Scoring, NothingElseIsInTheRowOfAnAdapterThatReadsOtherTokens) {
  test::FakeLm model;
  const ReadsOthers adapter;
  nn::LinearGroup group;
  group.adapter = &adapter;
  model.slots().groups.push_back(&group);
  score_requests(model, {request({1, 40, 41}, {60, 61}), request({1, 40, 41}, {62, 63})}, 1);
  EXPECT_EQ(model.rows_read, 8);
}

TEST(Scoring, OnlyScoredPositionsGoThroughTheHead) {
  const test::FakeLm model;
  score_requests(model, {request(Ids(20, 7), {60, 61})}, 2048);
  EXPECT_EQ(model.rows_in_head, 2);
}

TEST(Scoring, AnEmptyContinuationScoresZeroAndGreedyWithoutAForward) {
  const test::FakeLm model;
  const std::vector<Score> scores = score_requests(model, {request({1, 40}, {})}, 2048);
  EXPECT_EQ(scores[0].log_likelihood, 0.0);
  EXPECT_TRUE(scores[0].greedy);
  EXPECT_EQ(model.rows_read, 0);
}

TEST(Scoring, GreedyMeansEveryIdIsTheMostProbable) {
  const test::FakeLm model;
  Ids ids = {1, 40};
  for (int n = 0; n < 2; ++n) {  // the two greedy ids
    double best = -1e300;
    int64_t choice = 0;
    for (int64_t id = 0; id < model.config().vocab_size; ++id) {
      Ids longer = ids;
      longer.push_back(id);
      const double value = test::log_probs_of(model, longer).back();
      if (value > best) {
        best = value;
        choice = id;
      }
    }
    ids.push_back(choice);
  }
  const int64_t other = ids[3] == 5 ? 6 : 5;
  const std::vector<Score> scores = score_requests(
      model, {request({1, 40}, {ids[2], ids[3]}), request({1, 40}, {ids[2], other}), request({1, 40}, {other, ids[3]})},
      2048);
  EXPECT_TRUE(scores[0].greedy);
  EXPECT_FALSE(scores[1].greedy);
}

TEST(Scoring, CountsRequestsAsProgress) {
  const test::FakeLm model;
  std::vector<int64_t> seen;
  score_requests(model, {request({1, 40}, {}), request({1, 40}, {3}), request({1, 40, 7}, {3})}, 3,
                 [&](int64_t done, int64_t total) {
                   EXPECT_EQ(total, 3);
                   seen.push_back(done);
                 });
  EXPECT_EQ(seen, (std::vector<int64_t>{2, 3}));
}

}  // namespace
}  // namespace morex::eval
