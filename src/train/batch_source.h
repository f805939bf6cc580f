// The micro-batches of every step, as a function of the step alone.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "data/batch.h"
#include "train/recipe.h"

namespace morex::train {

class BatchSource {
 public:
  // `examples` must outlive this. Padding uses `pad_id`.
  BatchSource(const std::vector<data::Example>& examples, const Recipe& recipe, int64_t pad_id);

  // An epoch's micro-batches, cut into windows of gradient_accumulation_steps; the last window may be shorter, and no
  // window spans two epochs.
  int64_t steps_per_epoch() const { return steps_per_epoch_; }
  // max_steps when given, else ceil(num_train_epochs * steps_per_epoch).
  int64_t total_steps(const Recipe& recipe) const;

  // The micro-batch for which most positions are computed, among those of that many steps of the first epoch.
  data::Batch largest(int64_t steps, bool keep_padding) const;
  // The window of the step with index `step`, counted from 0.
  std::vector<data::Batch> window(int64_t step);

  // SHA-256 over the plan of the first epoch: names the data order.
  std::string digest() const;

 private:
  const std::vector<data::Example>& examples_;
  data::BatchPlanOptions options_;
  int64_t accumulation_, pad_id_, steps_per_epoch_, planned_epoch_ = 0;
  std::vector<std::vector<int64_t>> plan_;  // of planned_epoch_
};

}  // namespace morex::train
