// Rows that a conversion streams through the model.
#pragma once
#include <functional>
#include <vector>

#include "data/example.h"
#include "models/causal_lm.h"
#include "train/device_batch.h"

namespace morex::cli {

class FitData {
 public:
  // Batches of rows of similar length. What the model's prompt reader says of their prompts is read here, so that a
  // pass runs nothing but the model itself. `model` must outlive this.
  FitData(models::CausalLm& model, const std::vector<data::Example>& rows, int64_t batch_size, int64_t pad_id);

  // Runs the model over all batches, without gradients and without training's noise; progress(done, total) in rows.
  void run(const std::function<void(int64_t, int64_t)>& progress) const;

 private:
  models::CausalLm& model_;
  std::vector<train::DeviceBatch> batches_;
  int64_t rows_;
};

}  // namespace morex::cli
