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

}  // namespace
}  // namespace morex::adapters
