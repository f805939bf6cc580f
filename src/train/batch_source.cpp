#include "train/batch_source.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "train/device_batch.h"

namespace morex::train {

BatchSource::BatchSource(const std::vector<data::Example>& examples, const Recipe& recipe, int64_t pad_id)
    : examples_(examples),
      options_{recipe.per_device_train_batch_size, recipe.group_by_length, recipe.shuffle, recipe.seed},
      accumulation_(recipe.gradient_accumulation_steps),
      pad_id_(pad_id),
      plan_(data::plan_epoch(examples, options_, 0)) {
  const auto batches = static_cast<int64_t>(plan_.size());
  MOREX_ASSERT(batches > 0);
  steps_per_epoch_ = (batches + accumulation_ - 1) / accumulation_;
}

int64_t BatchSource::total_steps(const Recipe& recipe) const {
  if (recipe.max_steps > 0) return recipe.max_steps;
  return static_cast<int64_t>(std::ceil(recipe.num_train_epochs * static_cast<double>(steps_per_epoch_)));
}

std::vector<data::Batch> BatchSource::window(int64_t step) {
  const int64_t epoch = step / steps_per_epoch_;
  if (epoch != planned_epoch_) {
    plan_ = data::plan_epoch(examples_, options_, epoch);
    planned_epoch_ = epoch;
  }
  const int64_t begin = step % steps_per_epoch_ * accumulation_;
  const int64_t end = std::min(begin + accumulation_, static_cast<int64_t>(plan_.size()));
  std::vector<data::Batch> batches;
  for (int64_t i = begin; i < end; ++i)
    batches.push_back(data::make_batch(examples_, plan_[static_cast<size_t>(i)], pad_id_));
  return batches;
}

data::Batch BatchSource::largest(int64_t steps, bool keep_padding) const {
  const auto plan = planned_epoch_ == 0 ? plan_ : data::plan_epoch(examples_, options_, 0);
  const auto positions = [&](const std::vector<int64_t>& batch) {
    int64_t tokens = 0, longest = 0;
    for (const int64_t example : batch) {
      const int64_t length = examples_[static_cast<size_t>(example)].length();
      tokens += length;
      longest = std::max(longest, length);
    }
    const int64_t grid = longest * static_cast<int64_t>(batch.size());
    return !keep_padding && leaves_out_padding(tokens, grid) ? tokens : grid;
  };
  const auto end = plan.begin() + std::min(steps * accumulation_, static_cast<int64_t>(plan.size()));
  const auto largest =
      std::max_element(plan.begin(), end, [&](const auto& a, const auto& b) { return positions(a) < positions(b); });
  MOREX_ASSERT(largest != end);
  return data::make_batch(examples_, *largest, pad_id_);
}

std::string BatchSource::digest() const {
  return data::plan_digest(planned_epoch_ == 0 ? plan_ : data::plan_epoch(examples_, options_, 0));
}

}  // namespace morex::train
