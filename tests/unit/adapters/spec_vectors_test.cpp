// S'MoRE against the official modules' numbers, and cases small enough to check by hand.
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/sin.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cmath>

#include "../../golden/adapters/one_site.h"
#include "spec_numbers.h"
#include "support/golden_tensors.h"

namespace morex::test {

static void PrintTo(const SpecVector& vector, std::ostream* out) { *out << vector.name << " " << vector.changes; }

namespace {

// Element k of tensor t: sin(12.9898·t + 78.233·k + 0.5).
at::Tensor filler(int64_t t, at::IntArrayRef shape) {
  const at::Tensor k = at::arange(c10::multiply_integers(shape), at::kDouble);
  return at::sin(12.9898 * static_cast<double>(t) + 78.233 * k + 0.5).view(shape);
}

int64_t filler_number(const std::string& name) {
  const std::map<std::string, int64_t> whole = {
      {"moe_downproj_x.weight", 3}, {"moe_downproj_x.bias", 4}, {"moe_W_final", 200}, {"moe_W_final_bias", 201}};
  if (const auto found = whole.find(name); found != whole.end()) return found->second;
  const std::vector<std::string> order = {"moe_A.#",
                                          "moe_A_bias.#",
                                          "moe_B.#",
                                          "moe_B_bias.#",
                                          "moe_W.#",
                                          "moe_W_bias.#",
                                          "moe_gate.#.mlp.0.weight",
                                          "moe_gate.#.mlp.0.bias",
                                          "moe_gate.#.mlp.2.weight",
                                          "moe_gate.#.mlp.2.bias",
                                          "moe_gate.#.keys",
                                          "moe_gate.#.weight_noise.weight"};
  for (int64_t level = 0; level < 3; ++level) {
    for (size_t i = 0; i < order.size(); ++i) {
      std::string numbered = order[i];
      numbered.replace(numbered.find('#'), 1, std::to_string(level));
      if (numbered == name) return 10 + 20 * level + static_cast<int64_t>(i);
    }
  }
  return -1;
}

struct SpecRun {
  std::unique_ptr<OneSite> site;
  nn::BatchContext ctx;
  at::Tensor x, y, aux;
};

SpecRun run(const SpecVector& vector) {
  Json recipe = parse_json(R"({"experts": {"kind": "tree", "ranks": [1, 2], "pool": [3, 4], "active": [2, 2],
                                           "activation": "tanh"},
                               "router": {"kind": "tree_keys", "gate": "switch", "gate_dims": [2, 3],
                                          "gate_activation": "relu", "dim_downproj_x": 2},
                               "losses": [{"kind": "balance", "coef": 0.01}]})",
                           "spec");
  recipe.merge_patch(parse_json(vector.changes, "spec"));
  SpecRun run;
  run.site = std::make_unique<OneSite>(at::zeros({3, 4}, at::kDouble), at::Tensor(), recipe);
  const at::NoGradGuard guard;
  for (const std::string& name : run.site->names()) {
    const at::Tensor value = run.site->value(name);
    if (name.starts_with("moe_expert_act_param")) {
      value.fill_(0.25);
    } else {
      value.copy_(filler(filler_number(name), value.sizes()));
    }
  }
  run.ctx.batch = 1;
  run.ctx.length = 4;
  run.ctx.token_mask = at::arange(4).lt(3).view({1, 4});
  if (vector.training) {
    run.ctx.phase = nn::Phase::kTrain;
    run.ctx.given_noise[kSiteModule + ".0"] = filler(100, {4, 2, 3});
    run.ctx.given_noise[kSiteModule + ".1"] = filler(101, {4, 4});
  }
  run.x = filler(1, {4, 4}).requires_grad_(true);
  return run;
}

class SpecVectors : public testing::TestWithParam<SpecVector> {};

TEST_P(SpecVectors, Output_and_balance_are_the_official_ones) {
  const SpecVector& vector = GetParam();
  SpecRun run = test::run(vector);
  nn::RoutingReport report;
  const at::Tensor y = run.site->forward(run.x, run.ctx, report).detach();
  at::Tensor expected = at::empty({4, 3}, at::kDouble);
  for (int64_t t = 0; t < 4; ++t)
    for (int64_t o = 0; o < 3; ++o) expected[t][o] = vector.y[t][o];
  // The official noisy gate rounds its softmax to float32.
  const bool noisy = std::string(vector.changes).find("noisy") != std::string::npos;
  EXPECT_TRUE(near(y, expected, noisy ? 1e-6 : 1e-8));
  const at::Tensor aux = run.site->set->auxiliary_loss(report);
  ASSERT_EQ(aux.defined(), !std::isnan(vector.balance));
  if (aux.defined()) {
    EXPECT_NEAR(aux.item<double>(), vector.balance, 1e-12);
  }
}

INSTANTIATE_TEST_SUITE_P(Spec, SpecVectors, testing::ValuesIn(kSpecVectors),
                         [](const auto& info) { return std::string(info.param.name); });

void check_gradients(const SpecVector& vector, double loss, bool first) {
  SpecRun run = test::run(vector);
  nn::RoutingReport report;
  const at::Tensor y = run.site->forward(run.x, run.ctx, report);
  const at::Tensor total = (y * filler(300, {4, 3})).sum() + run.site->set->auxiliary_loss(report);
  EXPECT_NEAR(total.item<double>(), loss, 1e-12);
  total.backward();
  for (const SpecGradient& row : kSpecGradients) {
    const double norm = first ? row.g1_norm : row.g9_norm, sum = first ? row.g1_sum : row.g9_sum;
    if (std::isnan(norm)) continue;
    const at::Tensor grad = row.tensor == std::string("x") ? run.x.grad() : run.site->grad(row.tensor);
    EXPECT_NEAR(grad.norm().item<double>(), norm, first ? 1e-8 : 1e-6) << row.tensor;
    EXPECT_NEAR(grad.sum().item<double>(), sum, first ? 1e-8 : 2e-6) << row.tensor;
  }
}

TEST(SpecGradients, G1_switch) { check_gradients(kSpecVectors[0], 0.6706088869621075, true); }
TEST(SpecGradients, G9_noisy_in_training) { check_gradients(kSpecVectors[8], 1.1350948714879778, false); }

// One token through a chain of two levels: E0 = 0.4, E1 = -0.6, W = 3, w = 0.25 in one coordinate.
double chain(const std::string& position, const std::string& activation) {
  OneSite site(at::zeros({1, 2}, at::kDouble), {},
               {{"experts",
                 {{"kind", "tree"},
                  {"ranks", {1, 1}},
                  {"pool", 1},
                  {"active", 1},
                  {"activation", activation},
                  {"activation_position", position}}},
                {"router", {{"kind", "tree_keys"}, {"gate_dims", 1}, {"dim_downproj_x", 1}}},
                {"losses", {{{"kind", "balance"}, {"coef", 0.01}}}}});
  const at::NoGradGuard guard;
  site.value("moe_B_bias.0").fill_(0.4);
  site.value("moe_B_bias.1").copy_(at::tensor({-0.6, 0.0}, at::kDouble).view({1, 2}));
  site.value("moe_W.1").copy_(at::tensor({3.0, 0.0}, at::kDouble).view({2, 1}));
  site.value("moe_W_bias.1").copy_(at::tensor({0.25, 0.0}, at::kDouble));
  site.value("moe_W_final").copy_(at::tensor({1.0, 0.0}, at::kDouble).view({1, 2}));
  nn::BatchContext ctx;
  ctx.batch = ctx.length = 1;
  nn::RoutingReport report;
  const double y = site.forward(at::ones({1, 2}, at::kDouble), ctx, report).item<double>();
  for (const nn::GateReport& gate : report.gates) {
    EXPECT_EQ(gate.counts.item<double>(), 1.0);
  }
  EXPECT_NEAR(site.set->auxiliary_loss(report).item<double>(), 0.02, 1e-15);  // one expert: coef per gate
  return y;
}

TEST(SpecByHand, A_chain_of_two_levels) {
  EXPECT_NEAR(chain("all", "tanh"), 0.6583222889, 1e-10);
  EXPECT_NEAR(chain("child", "tanh"), 0.7898468868, 1e-10);
  EXPECT_NEAR(chain("child_v2", "tanh"), 0.7898468868, 1e-10);
  EXPECT_NEAR(chain("all", "identity"), 0.85, 1e-14);
}

TEST(SpecByHand, One_level_is_a_mixture) {
  OneSite site(at::zeros({1, 2}, at::kDouble), {},
               {{"experts", {{"kind", "tree"}, {"ranks", {1}}, {"pool", 2}, {"active", 2}, {"activation", "identity"}}},
                {"router", {{"kind", "tree_keys"}, {"gate_dims", 1}, {"dim_downproj_x", 1}}}});
  const at::NoGradGuard guard;
  site.value("moe_A.0").copy_(at::tensor({1.0, 0.0, 2.0, 0.0}, at::kDouble).view({2, 1, 2}));
  site.value("moe_B.0").copy_(at::tensor({1.0, 0.0, 0.0, 1.0}, at::kDouble).view({2, 2, 1}));
  site.value("moe_W_final").fill_(1.0);
  nn::BatchContext ctx;
  ctx.batch = ctx.length = 1;
  nn::RoutingReport report;
  report.keep_details = true;
  const at::Tensor y = site.forward(at::tensor({3.0, 0.0}, at::kDouble).view({1, 2}), ctx, report);
  EXPECT_TRUE(near(report.details.at(kSiteModule + ".x_L"), at::tensor({1.5, 3.0}, at::kDouble).view({1, 2}), 1e-15));
  EXPECT_NEAR(y.item<double>(), 4.5, 1e-15);
}

TEST(SpecByHand, The_level_scale_multiplies_the_bias_too) {
  OneSite site(
      at::zeros({1, 2}, at::kDouble), {},
      {{"experts",
        {{"kind", "tree"}, {"ranks", {2}}, {"pool", 1}, {"active", 1}, {"alpha", {4.0}}, {"activation", "identity"}}},
       {"router", {{"kind", "tree_keys"}, {"gate_dims", 1}, {"dim_downproj_x", 1}}}});
  const at::NoGradGuard guard;
  site.value("moe_B_bias.0").fill_(1.0);
  site.value("moe_W_final").copy_(at::tensor({1.0, 0.0}, at::kDouble).view({1, 2}));
  nn::BatchContext ctx;
  ctx.batch = ctx.length = 1;
  nn::RoutingReport report;
  EXPECT_EQ(site.forward(at::ones({1, 2}, at::kDouble), ctx, report).item<double>(), 2.0);
}

}  // namespace
}  // namespace morex::test
