// Learning-rate schedules with the names and formulas of Hugging Face's optimisation module.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "train/recipe.h"

namespace morex::train {

enum class ScheduleKind { kConstant, kConstantWithWarmup, kLinear, kCosine };

const std::vector<std::string>& schedule_names();  // in the order of ScheduleKind

struct Schedule {
  ScheduleKind kind = ScheduleKind::kLinear;
  double learning_rate = 0;
  int64_t warmup_steps = 0;
  int64_t total_steps = 0;

  // The factor on the learning rate of the update with index `step`, counted from 0, w = warmup_steps, n = total_steps:
  // constant: 1; with warm-up, below w: step / max(1, w), so the very first update has factor 0; from w on:
  // constant_with_warmup 1, linear max(0, (n - step) / max(1, n - w)),
  // cosine max(0, (1 + cos(pi (step - w) / max(1, n - w))) / 2).
  double factor(int64_t step) const;
  double rate(int64_t step) const { return learning_rate * factor(step); }
};

// warmup_steps when given, else ceil(warmup_ratio * total_steps).
int64_t resolve_warmup_steps(const Recipe& recipe, int64_t total_steps);

// The recipe's schedule over `total_steps` updates.
Schedule make_schedule(const Recipe& recipe, int64_t total_steps);

}  // namespace morex::train
