#include "train/cost.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <chrono>

#include "train/device_batch.h"

namespace morex::train {
namespace {

double forward_ms(const models::CausalLm& model, const DeviceBatch& batch) {
  const auto start = std::chrono::steady_clock::now();
  const at::NoGradGuard no_gradients;
  nn::RoutingReport report;
  model.hidden(batch.ids, batch.ctx, report).sum().item<double>();  // waits for the device
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

Json measure_cost(const models::CausalLm& model, Trainable& trainable, const data::Batch& batch) {
  Json cost = trainable.cost();
  DeviceBatch on_device = put_on_device(batch, model);
  on_device.ctx.phase = nn::Phase::kPrefill;
  double with_adapter = forward_ms(model, on_device), base = 0;
  const bool has_base = trainable.without([&] {
    base = forward_ms(model, on_device);
    base = std::min(base, forward_ms(model, on_device));
  });
  if (!has_base) return cost;
  with_adapter = std::min(with_adapter, forward_ms(model, on_device));
  cost["forward_ms"] = with_adapter;
  cost["base_forward_ms"] = base;
  cost["extra_forward_ms"] = with_adapter - base;
  return cost;
}

}  // namespace morex::train
