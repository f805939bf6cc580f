#include "train/device_batch.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/tensor.h>

#include <vector>

#include "eval/prompts.h"

namespace morex::train {
namespace {

// One part in so many of a batch may be padding: moving the rows to attention's grid and back costs about as much.
constexpr int64_t kKeptShare = 20;

at::Tensor to_tensor(const std::vector<int64_t>& values, at::IntArrayRef shape, at::Device device) {
  return at::tensor(values, at::kLong).view(shape).to(device);
}

}  // namespace

bool leaves_out_padding(int64_t tokens, int64_t grid) { return kKeptShare * (grid - tokens) > grid; }

DeviceBatch put_on_device(const data::Batch& batch, const models::CausalLm& model, bool keep_padding) {
  const at::Device device = model.device();
  DeviceBatch on_device;
  on_device.ctx.batch = batch.rows;
  on_device.ctx.length = batch.length;
  on_device.ctx.phase = nn::Phase::kTrain;
  on_device.ids = to_tensor(batch.ids, {batch.rows, batch.length}, device);
  const int64_t grid = batch.rows * batch.length;
  const bool leave_out = !keep_padding && leaves_out_padding(batch.tokens(), grid);
  std::vector<int64_t> rows, targets, places;
  int64_t left_out = 0;  // so far
  for (int64_t r = 0; r < batch.rows; ++r) {
    const int64_t present = leave_out ? batch.lengths[static_cast<size_t>(r)] : batch.length;
    for (int64_t t = 0; t < present; ++t) {
      const int64_t position = r * batch.length + t;
      places.push_back(position);
      if (t + 1 == batch.length) continue;
      const int64_t label = batch.labels[static_cast<size_t>(position + 1)];
      if (label == data::kIgnoreLabel) continue;
      rows.push_back(position - left_out);
      targets.push_back(label);
    }
    left_out += batch.length - present;
  }
  const auto count = static_cast<int64_t>(rows.size());
  on_device.rows = to_tensor(rows, {count}, device);
  on_device.targets = to_tensor(targets, {count}, device);
  if (leave_out) {
    on_device.ctx.places = to_tensor(places, {batch.tokens()}, device);
  } else if (batch.tokens() < grid) {
    const at::Tensor lengths = to_tensor(batch.lengths, {batch.rows, 1}, device);
    on_device.ctx.token_mask = at::arange(batch.length, lengths.options()).unsqueeze(0) < lengths;  // [B, L]
  }
  if (model.wants_prompts()) model.read_prompts(eval::prompts_of(batch), on_device.ctx);
  return on_device;
}

}  // namespace morex::train
