#include "adapters/gate_losses.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

namespace morex::adapters {
namespace {

nn::GateReport switch_gate(const std::string& site, int64_t layer, std::vector<double> counts,
                           std::vector<double> probability, double rows) {
  nn::GateReport gate;
  gate.site = site;
  gate.layer = layer;
  gate.counts = at::tensor(counts, at::kDouble);
  gate.sums["probability"] = at::tensor(probability, at::kDouble);
  gate.rows = at::full({}, rows, at::kDouble);
  return gate;
}

double value(const at::Tensor& loss) { return loss.item<double>(); }

TEST(GateLosses, Switch_by_hand) {
  // Two tokens, pi = (1/8, 2/8, 5/8) and (.6, .3, .1), two of three chosen: T = (.5, 1, .5), Q = (.3625, .275, .3625).
  const nn::GateReport gate = switch_gate("a", 0, {1, 2, 1}, {0.725, 0.55, 0.725}, 2);
  EXPECT_NEAR(0.01 * value(balance_loss(gate)), 0.019125, 1e-15);
}

TEST(GateLosses, Nothing_counted_is_nothing_lost) {
  EXPECT_EQ(value(balance_loss(switch_gate("a", 0, {0, 0}, {0, 0}, 0))), 0.0);
}

TEST(GateLosses, Squared_variation_is_unbiased) {
  nn::GateReport gate = switch_gate("a", 0, {1, 1, 1, 1}, {}, 4);
  gate.sums.clear();
  gate.sums["importance"] = at::tensor({1.0, 2.0, 3.0, 4.0}, at::kDouble);
  gate.sums["load"] = at::tensor({5.0, 5.0, 5.0, 5.0}, at::kDouble);
  EXPECT_NEAR(value(balance_loss(gate)), 0.2666666667, 1e-9);
  gate.sums["importance"] = gate.sums["load"] = at::tensor({7.0}, at::kDouble);
  EXPECT_EQ(value(balance_loss(gate)), 0.0);
}

TEST(GateLosses, Scopes_pool_before_they_multiply) {
  const nn::GateReport a = switch_gate("a", 0, {2, 0}, {1.5, 0.5}, 2), b = switch_gate("b", 0, {0, 2}, {0.5, 1.5}, 2),
                       c = switch_gate("c", 1, {2, 0}, {1.5, 0.5}, 2);
  const std::vector<const nn::GateReport*> gates = {&a, &b, &c};
  // Each site alone: 2·(1·.75) = 1.5; a and b together are balanced: 1.
  EXPECT_NEAR(value(form_loss({"balance", 0.1, LossScope::kSite}, gates)), 0.45, 1e-15);
  EXPECT_NEAR(value(form_loss({"balance", 0.1, LossScope::kLayer}, gates)), 0.25, 1e-15);
  const double t = 4.0 / 6.0, q = 3.5 / 6.0;
  EXPECT_NEAR(value(form_loss({"balance", 0.1, LossScope::kModel}, gates)), 0.2 * (t * q + (1 - t) * (1 - q)), 1e-15);
  EXPECT_FALSE(form_loss({"balance", 0.1, LossScope::kSite}, {}).defined());
}

TEST(GateLosses, Shares_sum_to_one_when_normalised) {
  // Two of three chosen for each of two tokens: shares (.25, .5, .25) instead of (.5, 1, .5).
  const nn::GateReport gate = switch_gate("a", 0, {1, 2, 1}, {0.725, 0.55, 0.725}, 2);
  EXPECT_NEAR(value(balance_loss(gate, false, true)), 0.5 * value(balance_loss(gate)), 1e-15);
}

TEST(GateLosses, Padding_is_read_where_it_was_counted) {
  nn::GateReport gate = switch_gate("a", 0, {1, 0}, {0.75, 0.25}, 1);
  EXPECT_EQ(value(balance_loss(gate, true)), value(balance_loss(gate)));
  gate.sums["probability.all"] = at::tensor({1.0, 1.0}, at::kDouble);
  gate.sums["counts.all"] = at::tensor({1.0, 1.0}, at::kDouble);
  gate.sums["rows.all"] = at::full({}, 2.0, at::kDouble);
  EXPECT_NEAR(value(balance_loss(gate)), 1.5, 1e-15);
  EXPECT_NEAR(value(balance_loss(gate, true)), 1.0, 1e-15);
}

TEST(GateLosses, Localized_by_hand) {
  // One sequence of type 1, two experts: I = (1.5, .5), Z = (1.5·2, .5·2) = (3, 1), variance 2, mean 2.
  nn::GateReport gate = switch_gate("a", 0, {0, 0}, {}, 1);
  gate.sums["by_sequence"] = at::tensor({2.0, 2.0}, at::kDouble).view({1, 2});
  gate.sample_types = at::tensor({1}, at::kLong);
  EXPECT_NEAR(value(localized_loss(gate, 0.5)), 0.5, 1e-9);
  gate.sample_types = at::tensor({0}, at::kLong);
  EXPECT_NEAR(value(localized_loss(gate, 0.5)), 0.5, 1e-9);
  gate.sums["by_sequence"] = at::tensor({3.0, 1.0}, at::kDouble).view({1, 2});  // Z = (1.5, 1.5)
  EXPECT_NEAR(value(localized_loss(gate, 0.5)), 0.0, 1e-12);
  gate.sums["by_sequence"] = at::tensor({3.0, 1.0, 1.0}, at::kDouble).view({1, 3});
  EXPECT_THROW(localized_loss(gate, 0.5), Error);
}

TEST(GateLosses, Written_as_read) {
  const Json list = parse_json(R"([{"kind": "balance", "coef": 0.5, "scope": "layer", "padding": true,
                                    "normalised": true},
                                   {"kind": "localized", "coef": 1.0, "scope": "site", "delta": 0.25},
                                   {"kind": "entropy", "coef": 0.1, "scope": "model", "entropy_type": "renyi",
                                    "entropy_index": 1.5, "entropy_eps": 0.0}])",
                               "test");
  EXPECT_EQ(losses_to_json(read_losses(list)), list);
}

}  // namespace
}  // namespace morex::adapters
