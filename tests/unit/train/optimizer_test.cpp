#include "train/optimizer.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <gtest/gtest.h>

#include <cmath>

#include "support/golden_tensors.h"
#include "support/paths.h"
#include "train/gradients.h"
#include "train/trainer_state.h"

namespace morex::train {
namespace {

namespace fs = std::filesystem;

struct TwoLeaves {
  nn::ParameterStore store;
  TwoLeaves(nn::LeafOptions first, nn::LeafOptions second) {
    store.declare("a", {3}, first);
    store.declare("b", {2, 2}, second);
    store.allocate(at::kDouble, at::kCPU);
    store.values().fill_(1.0);
  }
  double a() const { return store.leaf(0).detach()[0].item<double>(); }
  double b() const { return store.leaf(1).detach()[1][1].item<double>(); }
};

Recipe with_decay(double decay) {
  Recipe recipe;
  recipe.weight_decay = decay;
  return recipe;
}

TEST(Optimizer, First_step_moves_by_the_rate_and_decays) {
  TwoLeaves two({}, {.decay = false});
  Optimizer optimizer(two.store, with_decay(0.5));
  two.store.grads().fill_(3.0);
  optimizer.step(0.1, 0);
  EXPECT_NEAR(two.a(), 1.0 * (1 - 0.1 * 0.5) - 0.1, 1e-8);
  EXPECT_NEAR(two.b(), 1.0 - 0.1, 1e-8);
}

TEST(Optimizer, Rate_factors_and_frozen_leaves_are_the_leaves_own) {
  TwoLeaves two({.lr_factor = 4.0}, {.frozen_until = 1});
  Optimizer optimizer(two.store, with_decay(0));
  two.store.grads().fill_(-1.0);
  optimizer.step(0.1, 0);
  EXPECT_NEAR(two.a(), 1.4, 1e-8);
  EXPECT_EQ(two.b(), 1.0);
  optimizer.step(0.1, 1);
  EXPECT_NEAR(two.b(), 1.1, 1e-8);
}

TEST(Gradients, Clip_returns_the_norm_before_and_scales_as_torch) {
  TwoLeaves two({}, {});
  for (int64_t i = 0; i < 2; ++i) two.store.leaf(i).mutable_grad().fill_(2.0);
  const double norm = std::sqrt(7 * 4.0);
  EXPECT_DOUBLE_EQ(checked_clip(two.store, 1.0, 0), norm);
  EXPECT_DOUBLE_EQ(two.store.leaf(0).grad()[0].item<double>(), 2.0 / (norm + 1e-6));
  EXPECT_NEAR(checked_clip(two.store, 0.0, 0), norm / (norm + 1e-6), 1e-12);
}

TEST(Gradients, Not_finite_names_step_and_leaf) {
  TwoLeaves two({}, {});
  two.store.leaf(1).mutable_grad()[1][0] = NAN;
  try {
    checked_clip(two.store, 1.0, 41);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kNumeric);
    EXPECT_NE(std::string(error.what()).find("[step 42]"), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("'b'"), std::string::npos) << error.what();
  }
}

// Feeds the watch gradients of leaf b that are zero in the steps listed.
int64_t dead_warnings(const std::vector<bool>& b_is_zero, const std::vector<double>& rates,
                      nn::LeafOptions b_options = {}) {
  TwoLeaves two({}, b_options);
  GradientWatch watch;
  Warnings warnings(false, false);
  for (size_t step = 0; step < rates.size(); ++step) {
    two.store.leaf(0).mutable_grad().fill_(1.0);
    two.store.leaf(1).mutable_grad().fill_(b_is_zero[step] ? 0.0 : 1.0);
    watch.observe(two.store, static_cast<int64_t>(step), rates[step], warnings);
  }
  if (warnings.counts().count("dead_gradient") == 0) return 0;
  EXPECT_NE(warnings.messages().at("dead_gradient").find("1 of 2 trainable tensors"), std::string::npos);
  EXPECT_NE(warnings.messages().at("dead_gradient").find(": b"), std::string::npos);
  return warnings.counts().at("dead_gradient");
}

TEST(GradientWatch, Zero_at_the_start_is_normal_zero_after_moving_is_dead) {
  EXPECT_EQ(dead_warnings({false, false}, {0.1, 0.1}), 0);
  EXPECT_EQ(dead_warnings({true, false}, {0.1, 0.1}), 0) << "LoRA's A while B = 0";
  EXPECT_EQ(dead_warnings({true, true, true}, {0.1, 0.1, 0.1}), 1);
  EXPECT_EQ(dead_warnings({true, true, false}, {0.0, 0.1, 0.1}), 0) << "warm-up starts at rate 0: nothing has moved";
  EXPECT_EQ(dead_warnings({true, true}, {0.1, 0.1}, {.frozen_until = 5}), 0) << "frozen on purpose";
}

TEST(TrainerState, Buffers_and_state_come_back_bit_for_bit) {
  const fs::path folder = test::scratch_dir("trainer_state");
  TwoLeaves two({}, {});
  Optimizer optimizer(two.store, with_decay(0.1));
  for (int64_t step = 0; step < 3; ++step) {
    two.store.grads().copy_(at::arange(two.store.size(), at::kDouble) / 7.0);
    optimizer.step(0.01, step);
  }
  TrainerState state;
  state.step = 3;
  state.loss_sum = 0.1 + 0.2;
  state.best_step = 2;
  state.best_metric = 1.0 / 3.0;
  save_state(folder, state, two.store, optimizer);

  TwoLeaves other({}, {});
  Optimizer other_optimizer(other.store, with_decay(0.1));
  load_buffers(folder, other.store, other_optimizer);
  EXPECT_TRUE(test::same_bits(other.store.values(), two.store.values()));
  EXPECT_TRUE(test::same_bits(other_optimizer.exp_avg(), optimizer.exp_avg()));
  EXPECT_TRUE(test::same_bits(other_optimizer.exp_avg_sq(), optimizer.exp_avg_sq()));
  EXPECT_EQ(state_to_json(load_state(folder)), state_to_json(state));
}

TEST(TrainerState, Another_layout_or_a_missing_file_is_refused) {
  const fs::path folder = test::scratch_dir("trainer_state_bad");
  EXPECT_THROW(load_state(folder), Error);
  TwoLeaves two({}, {});
  Optimizer optimizer(two.store, Recipe{});
  save_state(folder, {}, two.store, optimizer);
  nn::ParameterStore other;
  other.declare("a", {4});
  other.declare("b", {2, 2});
  other.allocate(at::kDouble, at::kCPU);
  Optimizer other_optimizer(other, Recipe{});
  EXPECT_THROW(load_buffers(folder, other, other_optimizer), Error);
  fs::resize_file(folder / "optimizer.safetensors", 100);
  EXPECT_THROW(load_buffers(folder, two.store, optimizer), Error);
}

}  // namespace
}  // namespace morex::train
