#include "train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace morex::train {

const std::vector<std::string>& schedule_names() {
  static const std::vector<std::string> names = {"constant", "constant_with_warmup", "linear", "cosine"};
  return names;
}

double Schedule::factor(int64_t step) const {
  if (kind == ScheduleKind::kConstant) return 1.0;
  if (step < warmup_steps) return static_cast<double>(step) / static_cast<double>(std::max<int64_t>(1, warmup_steps));
  if (kind == ScheduleKind::kConstantWithWarmup) return 1.0;
  const double span = static_cast<double>(std::max<int64_t>(1, total_steps - warmup_steps));
  if (kind == ScheduleKind::kLinear) return std::max(0.0, static_cast<double>(total_steps - step) / span);
  const double progress = static_cast<double>(step - warmup_steps) / span;
  return std::max(0.0, 0.5 * (1.0 + std::cos(std::numbers::pi * progress)));
}

int64_t resolve_warmup_steps(const Recipe& recipe, int64_t total_steps) {
  if (recipe.warmup_steps > 0) return recipe.warmup_steps;
  return static_cast<int64_t>(std::ceil(recipe.warmup_ratio * static_cast<double>(total_steps)));
}

Schedule make_schedule(const Recipe& recipe, int64_t total_steps) {
  const auto& names = schedule_names();
  const auto found = std::find(names.begin(), names.end(), recipe.lr_scheduler_type);
  MOREX_CHECK(found != names.end(), ErrorKind::kConfig, "[recipe] lr_scheduler_type '{}' is not known",
              recipe.lr_scheduler_type);
  return {static_cast<ScheduleKind>(found - names.begin()), recipe.learning_rate,
          resolve_warmup_steps(recipe, total_steps), total_steps};
}

}  // namespace morex::train
