#include "train/cost.h"

#include <ATen/core/grad_mode.h>

#include <memory>

#include "train/phase_work.h"
#include "train/tax.h"

namespace morex::train {
namespace {

constexpr int64_t kMostRounds = 5;
constexpr double kMilliseconds = 10e3;  // no further round behind this

double forward_ms(const models::CausalLm& model, const DeviceBatch& batch) {
  return milliseconds(model, [&] {
    const at::NoGradGuard no_gradients;
    nn::BatchContext ctx = batch.ctx;
    ctx.phase = nn::Phase::kPrefill;
    nn::RoutingReport report;
    model.hidden(batch.ids, ctx, report);
  });
}

double train_ms(const models::CausalLm& model, nn::ParameterStore& store, const AuxiliaryLoss& auxiliary,
                const DeviceBatch& batch) {
  return milliseconds(model, [&] { train_pass(model, store, auxiliary, batch); });
}

}  // namespace

Json measure_cost(models::CausalLm& model, Trainable& trainable, const data::Batch& batch, Warnings& warnings) {
  Json cost = trainable.cost();
  if (trainable.adapter_set() == nullptr) return cost;
  const DeviceBatch on_device = put_on_device(batch, model, trainable.sequence_needs().padding);
  const auto least = [&] {
    std::unique_ptr<adapters::AdapterSet> made;
    trainable.without([&] { made = least_adapter(model, *trainable.adapter_set(), warnings); });
    return made;
  }();
  std::vector<double> forward, train, base_forward, base_train;
  double spent = 0;
  for (int64_t round = 0; round < kMostRounds && spent < kMilliseconds; ++round) {
    forward.push_back(forward_ms(model, on_device));
    train.push_back(train_ms(
        model, trainable.parameters(), [&](const auto& report) { return trainable.auxiliary_loss(report); },
        on_device));
    trainable.without([&] {
      base_forward.push_back(forward_ms(model, on_device));
      least->attach();
      base_train.push_back(train_ms(
          model, least->parameters(), [](const auto&) { return at::Tensor(); }, on_device));
      least->detach();
    });
    spent += forward.back() + train.back() + base_forward.back() + base_train.back();
  }
  cost["rows"] = batch.rows;
  cost["length"] = batch.length;
  const auto add = [&cost](const std::string& name, const std::vector<double>& ms, const std::vector<double>& base_ms) {
    const double measured = spread_of(ms).median, base = spread_of(base_ms).median;
    cost[name + "_ms"] = measured;
    cost["base_" + name + "_ms"] = base;
    cost["extra_" + name + "_ms"] = measured - base;
  };
  add("forward", forward, base_forward);
  add("train", train, base_train);
  return cost;
}

}  // namespace morex::train
