// The tally against sums written out by hand.
#include "nn/routing_tally.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/sin.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/topk.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>

#include <cmath>

namespace morex::nn {
namespace {

at::Tensor filler(int64_t seed, at::IntArrayRef shape) {
  return at::sin(at::arange(c10::multiply_integers(shape), at::kDouble) * 0.83 + static_cast<double>(seed)).view(shape);
}

double entropy(const std::vector<double>& p) {
  double sum = 0, total = 0;
  for (const double value : p) total += std::abs(value);
  for (const double value : p)
    if (value != 0) sum -= std::abs(value) / total * std::log(std::abs(value) / total);
  return sum / std::log(static_cast<double>(p.size()));
}

// What rows of [n, E] gates and distributions amount to, one after another.
GateNumbers by_hand(const at::Tensor& gates, const at::Tensor& pi, const std::vector<int64_t>& counted) {
  const int64_t experts = gates.size(1);
  GateNumbers expected;
  expected.share.assign(static_cast<size_t>(experts), 0);
  expected.weight.assign(static_cast<size_t>(experts), 0);
  for (const int64_t row : counted) {
    std::vector<double> g, p;
    for (int64_t e = 0; e < experts; ++e) {
      g.push_back(gates[row][e].item<double>());
      p.push_back(pi[row][e].item<double>());
      expected.share[static_cast<size_t>(e)] += g.back() != 0;
      expected.weight[static_cast<size_t>(e)] += g.back();
    }
    expected.entropy += entropy(p);
    expected.entropy_after += entropy(g);
  }
  expected.rows = static_cast<double>(counted.size());
  for (double& value : expected.share) value /= expected.rows;
  for (double& value : expected.weight) value /= expected.rows;
  expected.entropy /= expected.rows;
  expected.entropy_after /= expected.rows;
  return expected;
}

void expect_equal(const GateNumbers& actual, const GateNumbers& expected, double tolerance = 1e-12) {
  EXPECT_EQ(actual.rows, expected.rows);
  for (size_t e = 0; e < expected.share.size(); ++e) {
    EXPECT_NEAR(actual.share[e], expected.share[e], tolerance) << e;
    EXPECT_NEAR(actual.weight[e], expected.weight[e], tolerance) << e;
  }
  EXPECT_NEAR(actual.entropy, expected.entropy, tolerance);
  EXPECT_NEAR(actual.entropy_after, expected.entropy_after, tolerance);
}

// Sparse gates of `k` of the experts, and the same as [n, E].
struct Sparse {
  Sparse(int64_t seed, int64_t rows, int64_t experts, int64_t k)
      : pi(at::softmax(filler(seed, {rows, experts}) * 3, 1)) {
    std::tie(weights, ids) = at::topk(pi, k, 1);
    weights = weights / weights.sum(1, true);
    dense = at::zeros_like(pi).scatter(1, ids, weights);
  }
  at::Tensor pi, weights, ids, dense;
};

TEST(RoutingTally, Sparse_dense_and_masked_gates_are_what_the_sums_say) {
  const Sparse top(1, 7, 5, 2);
  const at::Tensor dense = filler(2, {7, 4}), pi = at::softmax(filler(3, {7, 4}), 1);  // gates may be negative
  const at::Tensor mask = at::tensor({1.0, 1.0, 0.0, 1.0, 0.0, 1.0, 1.0}, at::kDouble);
  RoutingTally tally({{"a", 0, 0, 5}, {"b", 0, 0, 4}, {"a", 0, 1, 5}});
  tally.add("a", 0, {top.pi, top.ids, top.weights, {}});
  tally.add("b", 0, {pi, {}, dense, mask});
  tally.add("a", 1, {top.pi, top.ids, top.weights, mask});
  tally.flush();
  const std::vector<GateNumbers> numbers = tally.numbers();
  expect_equal(numbers[0], by_hand(top.dense, top.pi, {0, 1, 2, 3, 4, 5, 6}));
  expect_equal(numbers[1], by_hand(dense, pi, {0, 1, 3, 5, 6}));
  expect_equal(numbers[2], by_hand(top.dense, top.pi, {0, 1, 3, 5, 6}));
}

TEST(RoutingTally, Many_gates_of_one_shape_are_told_apart_and_passes_add_up) {
  std::vector<RoutedGate> gates;
  for (int64_t i = 0; i < 9; ++i) gates.push_back({"site" + std::to_string(i), i, 0, 3});
  RoutingTally tally(gates);
  for (int64_t pass = 0; pass < 2; ++pass) {
    for (int64_t i = 8; i >= 0; --i) {
      const Sparse top(10 * i + pass, 6, 3, 1);
      tally.add("site" + std::to_string(i), 0, {top.pi, top.ids, top.weights, {}});
    }
    tally.flush();
  }
  for (int64_t i = 0; i < 9; ++i) {
    const Sparse first(10 * i, 6, 3, 1), second(10 * i + 1, 6, 3, 1);
    expect_equal(tally.numbers()[static_cast<size_t>(i)],
                 by_hand(at::cat({first.dense, second.dense}), at::cat({first.pi, second.pi}),
                         {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}));
  }
}

TEST(RoutingTally, Certainty_is_entropy_0_and_indifference_1) {
  RoutingTally tally({{"certain", 0, 0, 4}, {"even", 0, 0, 4}, {"single", 0, 0, 1}, {"nothing", 0, 0, 4}});
  const at::Tensor one = at::tensor({0.0, 1.0, 0.0, 0.0}, at::kDouble).view({1, 4}), even = at::full({1, 4}, 0.25);
  tally.add("certain", 0, {one, {}, one, {}});
  tally.add("even", 0, {even, {}, even, {}});
  tally.add("single", 0, {at::ones({1, 1}), {}, at::ones({1, 1}), {}});
  tally.add("nothing", 0, {even, {}, at::zeros({1, 4}), {}});  // a token that keeps no expert
  tally.flush();
  const std::vector<GateNumbers> numbers = tally.numbers();
  EXPECT_EQ(numbers[0].entropy, 0);
  EXPECT_EQ(numbers[0].entropy_after, 0);
  EXPECT_NEAR(numbers[1].entropy, 1, 1e-6);
  EXPECT_NEAR(numbers[1].entropy_after, 1, 1e-6);
  EXPECT_EQ(numbers[2].entropy, 0);
  EXPECT_EQ(numbers[2].entropy_after, 0);
  EXPECT_EQ(numbers[3].entropy_after, 0);
  EXPECT_EQ(numbers[3].share, std::vector<double>(4, 0.0));
}

TEST(RoutingTally, What_is_not_known_is_not_a_number) {
  RoutingTally tally({{"a", 0, 0, 2}, {"unseen", 0, 0, 2}});
  tally.add("a", 0, {{}, {}, at::full({3, 2}, 0.5), {}});
  tally.flush();
  EXPECT_TRUE(std::isnan(tally.numbers()[0].entropy));
  EXPECT_NEAR(tally.numbers()[0].entropy_after, 1, 1e-6);
  EXPECT_EQ(tally.numbers()[1].rows, 0);
  EXPECT_TRUE(std::isnan(tally.numbers()[1].entropy_after));
  EXPECT_EQ(tally.numbers()[1].share, std::vector<double>(2, 0.0));
}

TEST(RoutingTally, Its_sums_are_its_state) {
  const auto fill = [](RoutingTally& tally, int64_t seed) {
    const Sparse top(seed, 5, 3, 2);
    tally.add("a", 0, {top.pi, top.ids, top.weights, {}});
    tally.flush();
  };
  RoutingTally whole({{"a", 0, 0, 3}}), resumed({{"a", 0, 0, 3}});
  fill(whole, 1);
  resumed.sums().copy_(whole.sums());
  fill(whole, 2);
  fill(resumed, 2);
  EXPECT_TRUE(at::equal(whole.sums(), resumed.sums()));
  whole.clear();
  EXPECT_EQ(whole.numbers()[0].rows, 0);
}

// More than may wait: reduced on the way, with the same result.
TEST(RoutingTally, Much_at_once_is_reduced_on_the_way) {
  RoutingTally tally({{"a", 0, 0, 2}});
  const at::Tensor half = at::full({1 << 16, 2}, 0.5);
  for (int64_t i = 0; i < 40; ++i) tally.add("a", 0, {half, {}, half, {}});
  EXPECT_GT(tally.numbers()[0].rows, 0);
  tally.flush();
  EXPECT_EQ(tally.numbers()[0].rows, 40.0 * (1 << 16));
  EXPECT_EQ(tally.numbers()[0].weight, std::vector<double>(2, 0.5));
}

}  // namespace
}  // namespace morex::nn
