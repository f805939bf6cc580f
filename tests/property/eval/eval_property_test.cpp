#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cmath>
#include <numeric>
#include <set>

#include "eval/loss.h"
#include "eval/python_random.h"
#include "eval/sampling.h"
#include "eval/scoring.h"
#include "unit/eval/fakes.h"

namespace morex::eval {
namespace {

using Ids = std::vector<int64_t>;

const test::FakeLm& model() {
  static const test::FakeLm result(40);
  return result;
}

Ids some_ids(int64_t least, int64_t most) {
  const auto count = *rc::gen::inRange<int64_t>(least, most + 1);
  return *rc::gen::container<Ids>(count, rc::gen::inRange<int64_t>(0, 40));
}

void check(const char* what, const std::function<void()>& property) { EXPECT_TRUE(rc::check(what, property)); }

TEST(EvalProperty, AScoreIsTheSumOfTokenLogProbsOfAFullForward) {
  check("score", [] {
    std::vector<Request> requests;
    std::vector<double> expected;
    const Ids shared = some_ids(1, 6);
    for (int n = *rc::gen::inRange(1, 7); n > 0; --n) {
      const Ids context = *rc::gen::arbitrary<bool>() ? shared : some_ids(1, 6);
      Request request;
      request.continuation = some_ids(0, 4);
      request.input = context;
      request.input.insert(request.input.end(), request.continuation.begin(), request.continuation.end());
      const std::vector<double> all = test::log_probs_of(model(), request.input);
      expected.push_back(
          std::accumulate(all.end() - static_cast<int64_t>(request.continuation.size()), all.end(), 0.0));
      request.input.pop_back();
      requests.push_back(request);
    }
    const auto tokens = *rc::gen::inRange<int64_t>(1, 40);
    const std::vector<Score> scores = score_requests(model(), requests, tokens);
    for (size_t i = 0; i < requests.size(); ++i) {
      RC_ASSERT(std::abs(scores[i].log_likelihood - expected[i]) < 1e-11);
    }
  });
}

TEST(EvalProperty, TheLossDoesNotDependOnTheBatchSize) {
  check("loss", [] {
    std::vector<data::Example> examples;
    for (int n = *rc::gen::inRange(0, 9); n > 0; --n) {
      data::Example example;
      example.ids = some_ids(1, 8);
      example.labels = example.ids;
      for (int64_t& label : example.labels) {
        if (*rc::gen::arbitrary<bool>()) label = data::kIgnoreLabel;
      }
      examples.push_back(example);
    }
    const LossResult one = evaluate_loss(model(), examples, 1, 0);
    const LossResult many = evaluate_loss(model(), examples, *rc::gen::inRange<int64_t>(1, 10), 0);
    RC_ASSERT(one.tokens == many.tokens);
    RC_ASSERT(std::abs(one.nll_sum - many.nll_sum) < 1e-10);
  });
}

TEST(EvalProperty, CandidatesAreADistributionOverTheMostProbableIds) {
  check("candidates", [] {
    const auto count = *rc::gen::inRange<size_t>(1, 30);
    std::vector<double> logits;
    for (size_t i = 0; i < count; ++i) logits.push_back(*rc::gen::inRange(-40, 40) / 8.0);
    GenerationOptions options;
    options.temperature = *rc::gen::inRange(1, 30) / 10.0;
    options.top_k = *rc::gen::inRange<int64_t>(0, 35);
    options.top_p = *rc::gen::inRange(1, 101) / 100.0;
    const Candidates got = candidates(logits, options);
    RC_ASSERT(!got.ids.empty());
    RC_ASSERT(options.top_k == 0 || static_cast<int64_t>(got.ids.size()) <= options.top_k);
    RC_ASSERT(std::abs(std::accumulate(got.probabilities.begin(), got.probabilities.end(), 0.0) - 1) < 1e-12);
    const std::set<int64_t> kept(got.ids.begin(), got.ids.end());
    double least = 1e300;
    for (const int64_t id : kept) least = std::min(least, logits[id]);
    for (size_t id = 0; id < count; ++id) {
      RC_ASSERT(kept.count(static_cast<int64_t>(id)) == 1 || logits[id] <= least);
    }
  });
}

TEST(EvalProperty, DrawsComeAsOftenAsTheirProbability) {
  check("frequencies", [] {
    std::vector<double> logits;
    for (int i = 0; i < 5; ++i) logits.push_back(*rc::gen::inRange(-20, 20) / 10.0);
    GenerationOptions options;
    options.temperature = 1.0;
    const Candidates all = candidates(logits, options);
    std::vector<int64_t> counts(5, 0);
    constexpr int kDraws = 20000;
    for (int i = 0; i < kDraws; ++i) ++counts[draw(all, (i + 0.5) / kDraws)];
    for (int i = 0; i < 5; ++i) RC_ASSERT(std::abs(counts[i] / double(kDraws) - all.probabilities[i]) <= 1.0 / kDraws);
  });
}

TEST(EvalProperty, PythonSamplesAreDistinctAndInRange) {
  check("sample", [] {
    PythonRandom random(*rc::gen::arbitrary<uint64_t>());
    const auto n = *rc::gen::inRange<int64_t>(1, 400);
    const auto k = *rc::gen::inRange<int64_t>(0, std::min<int64_t>(n, 60) + 1);
    const std::vector<int64_t> rows = random.sample(n, k);
    RC_ASSERT(static_cast<int64_t>(rows.size()) == k);
    RC_ASSERT(static_cast<int64_t>(std::set<int64_t>(rows.begin(), rows.end()).size()) == k);
    for (const int64_t row : rows) RC_ASSERT(row >= 0 && row < n);
  });
}

}  // namespace
}  // namespace morex::eval
