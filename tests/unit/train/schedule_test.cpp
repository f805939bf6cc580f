// Known values of Hugging Face's get_scheduler, computed from its formulas.
#include "train/schedule.h"

#include <gtest/gtest.h>

#include <cmath>

namespace morex::train {
namespace {

Schedule schedule(ScheduleKind kind, int64_t warmup, int64_t total) { return {kind, 1.0, warmup, total}; }

TEST(Schedule, Constant_ignores_everything) {
  for (const int64_t step : {0, 1, 50, 1000})
    EXPECT_EQ(schedule(ScheduleKind::kConstant, 10, 100).factor(step), 1.0) << step;
}

TEST(Schedule, Warmup_rises_from_zero_by_equal_steps) {
  for (const auto kind : {ScheduleKind::kConstantWithWarmup, ScheduleKind::kLinear, ScheduleKind::kCosine}) {
    const Schedule s = schedule(kind, 4, 20);
    EXPECT_EQ(s.factor(0), 0.0);
    EXPECT_EQ(s.factor(1), 0.25);
    EXPECT_EQ(s.factor(3), 0.75);
    EXPECT_EQ(s.factor(4), 1.0);
  }
}

TEST(Schedule, Constant_with_warmup_stays_at_one) {
  EXPECT_EQ(schedule(ScheduleKind::kConstantWithWarmup, 4, 20).factor(19), 1.0);
}

TEST(Schedule, Linear_falls_to_zero_behind_the_last_step) {
  const Schedule s = schedule(ScheduleKind::kLinear, 4, 20);
  EXPECT_DOUBLE_EQ(s.factor(5), 15.0 / 16.0);
  EXPECT_DOUBLE_EQ(s.factor(19), 1.0 / 16.0);
  EXPECT_EQ(s.factor(20), 0.0);
  EXPECT_EQ(s.factor(25), 0.0);
}

TEST(Schedule, Linear_without_warmup_starts_at_one) {
  const Schedule s = schedule(ScheduleKind::kLinear, 0, 10);
  EXPECT_EQ(s.factor(0), 1.0);
  EXPECT_DOUBLE_EQ(s.factor(9), 0.1);
}

TEST(Schedule, Cosine_is_half_a_wave) {
  const Schedule s = schedule(ScheduleKind::kCosine, 2, 10);
  EXPECT_EQ(s.factor(2), 1.0);
  EXPECT_NEAR(s.factor(4), 0.5 * (1 + std::sqrt(0.5)), 1e-15);
  EXPECT_NEAR(s.factor(6), 0.5, 1e-15);
  EXPECT_NEAR(s.factor(9), 0.5 * (1 + std::cos(std::acos(-1.0) * 7 / 8)), 1e-15);
}

TEST(Schedule, Warmup_ratio_is_rounded_up_and_steps_win) {
  Recipe recipe;
  recipe.warmup_ratio = 0.1;
  EXPECT_EQ(resolve_warmup_steps(recipe, 11), 2);
  EXPECT_EQ(resolve_warmup_steps(recipe, 30), 3);
  EXPECT_EQ(resolve_warmup_steps(recipe, 1), 1);
  recipe.warmup_steps = 7;
  EXPECT_EQ(resolve_warmup_steps(recipe, 30), 7);
}

TEST(Schedule, Rate_is_factor_times_learning_rate_of_the_recipe) {
  Recipe recipe;
  recipe.learning_rate = 5e-4;
  recipe.lr_scheduler_type = "linear";
  recipe.warmup_steps = 15;
  const Schedule s = make_schedule(recipe, 150);
  EXPECT_DOUBLE_EQ(s.rate(3), 5e-4 * 3 / 15);
  EXPECT_DOUBLE_EQ(s.rate(149), 5e-4 * 1 / 135);
}

}  // namespace
}  // namespace morex::train
