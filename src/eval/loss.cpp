#include "eval/loss.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "data/batch.h"
#include "eval/prompts.h"

namespace morex::eval {
namespace {

// Longest first: a batch too large for the memory fails at once, and rows of a batch are of similar length.
std::vector<int64_t> longest_first(const std::vector<data::Example>& examples) {
  std::vector<int64_t> order(examples.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return examples[a].length() > examples[b].length(); });
  return order;
}

struct Targets {
  std::vector<int64_t> rows;  // of [B·L]: the position that predicts
  std::vector<int64_t> ids;   // what it must predict
};

Targets supervised_targets(const data::Batch& batch) {
  Targets targets;
  for (int64_t row = 0; row < batch.rows; ++row) {
    for (int64_t t = 0; t + 1 < batch.length; ++t) {
      const int64_t position = row * batch.length + t;
      if (batch.labels[position + 1] == data::kIgnoreLabel) continue;
      targets.rows.push_back(position);
      targets.ids.push_back(batch.labels[position + 1]);
    }
  }
  return targets;
}

at::Tensor to_tensor(std::vector<int64_t>& values, at::IntArrayRef shape, at::Device device) {
  return at::from_blob(values.data(), shape, at::kLong).clone().to(device);
}

double batch_nll(const models::CausalLm& model, data::Batch& batch, Targets& targets) {
  const at::Device device = model.device();
  const auto count = static_cast<int64_t>(targets.rows.size());
  nn::BatchContext ctx;
  ctx.batch = batch.rows;
  ctx.length = batch.length;
  const at::Tensor lengths = to_tensor(batch.lengths, {batch.rows, 1}, device);
  ctx.token_mask = at::arange(batch.length, lengths.options()).unsqueeze(0) < lengths;  // [B, L]
  if (model.wants_prompts()) model.read_prompts(prompts_of(batch), ctx);
  nn::RoutingReport report;
  const at::Tensor ids = to_tensor(batch.ids, {batch.rows, batch.length}, device);      // [B, L]
  const at::Tensor h = model.hidden(ids, ctx, report);                                  // [B·L, D]
  const at::Tensor rows = h.index_select(0, to_tensor(targets.rows, {count}, device));  // [N, D]
  return model.loss_sum(rows, to_tensor(targets.ids, {count}, device), ctx, report).item<double>();
}

}  // namespace

LossResult evaluate_loss(const models::CausalLm& model, const std::vector<data::Example>& examples, int64_t batch_size,
                         int64_t pad_id, const std::function<void(int64_t, int64_t)>& progress) {
  MOREX_CHECK(batch_size > 0, ErrorKind::kConfig, "[eval] the batch size must be positive, got {}", batch_size);
  const at::NoGradGuard no_gradients;
  const std::vector<int64_t> order = longest_first(examples);
  const auto total = static_cast<int64_t>(order.size());
  LossResult result;
  for (int64_t begin = 0; begin < total; begin += batch_size) {
    const int64_t end = std::min(begin + batch_size, total);
    data::Batch batch = data::make_batch(examples, {order.begin() + begin, order.begin() + end}, pad_id);
    Targets targets = supervised_targets(batch);
    if (!targets.rows.empty()) {
      result.nll_sum += batch_nll(model, batch, targets);
      result.tokens += static_cast<int64_t>(targets.rows.size());
    }
    if (progress) progress(end, total);
  }
  MOREX_CHECK(std::isfinite(result.nll_sum), ErrorKind::kNumeric, "[eval] the loss must be finite, got {}",
              result.nll_sum);
  return result;
}

}  // namespace morex::eval
