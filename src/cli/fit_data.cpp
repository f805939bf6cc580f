#include "cli/fit_data.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <numeric>

#include "data/batch.h"

namespace morex::cli {

FitData::FitData(models::CausalLm& model, const std::vector<data::Example>& rows, int64_t batch_size, int64_t pad_id)
    : model_(model), rows_(static_cast<int64_t>(rows.size())) {
  std::vector<int64_t> order(rows.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return rows[static_cast<size_t>(a)].length() > rows[static_cast<size_t>(b)].length();
  });
  for (int64_t begin = 0; begin < rows_; begin += batch_size) {
    const int64_t end = std::min(begin + batch_size, rows_);
    batches_.push_back(train::put_on_device(
        data::make_batch(rows, {order.begin() + begin, order.begin() + end}, pad_id), model, /*keep_padding=*/true));
    batches_.back().ctx.phase = nn::Phase::kPrefill;
  }
}

void FitData::run(const std::function<void(int64_t, int64_t)>& progress) const {
  const at::NoGradGuard guard;
  const std::vector<nn::LinearGroup*>& groups = model_.slots().groups;
  const bool adapted_head = std::any_of(groups.begin(), groups.end(), [](const nn::LinearGroup* group) {
    return group->layer < 0 && group->adapter != nullptr;
  });
  int64_t done = 0;
  for (const train::DeviceBatch& batch : batches_) {
    nn::RoutingReport report;
    const at::Tensor h = model_.hidden(batch.ids, batch.ctx, report);
    if (adapted_head) model_.logits(h, batch.ctx, report);
    done += batch.ctx.batch;
    progress(done, rows_);
  }
}

}  // namespace morex::cli
