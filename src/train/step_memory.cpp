#include "train/step_memory.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <span>
#include <tuple>

#include "adapters/bank_adapter.h"
#include "adapters/block_adapter.h"
#include "base/random.h"
#include "train/full_finetune.h"
#include "train/peak_allocation.h"
#include "train/phase_work.h"
#include "train/trainable.h"

namespace morex::train {
namespace {

constexpr double kScale = 0.02;  // of the adapter's numbers

// A place of one layer (or of none: the head), as it stands in the order of slots.
struct Places {
  std::vector<nn::LinearGroup*> groups;
  std::vector<nn::Mlp*> mlps;
};

Places places_of(models::CausalLm& model, int64_t layer) {
  Places places;
  for (nn::LinearGroup* group : model.slots().groups)
    if (group->layer == layer) places.groups.push_back(group);
  for (nn::Mlp* mlp : model.slots().mlps)
    if (mlp->layer == layer) places.mlps.push_back(mlp);
  return places;
}

// Lets `to` carry what `from` carries.
void carry_over(const Places& from, const Places& to, const adapters::AdapterSet& set) {
  MOREX_ASSERT(from.groups.size() == to.groups.size() && from.mlps.size() == to.mlps.size());
  for (const adapters::AdaptedGroup& adapted : set.groups())
    for (size_t i = 0; i < from.groups.size(); ++i)
      if (from.groups[i] == adapted.group) to.groups[i]->adapter = adapted.bank;
  for (const adapters::AdaptedBlock& adapted : set.blocks())
    for (size_t i = 0; i < from.mlps.size(); ++i)
      if (from.mlps[i] == adapted.mlp) to.mlps[i]->adapter = adapted.block;
}

void randomise(nn::ParameterStore& store) {
  const at::NoGradGuard no_grad;
  const at::Tensor drawn = at::empty({store.size()}, at::kDouble);
  fill_normal({0, stream_id("random adapter"), 0}, 0,
              {drawn.mutable_data_ptr<double>(), static_cast<size_t>(store.size())});
  store.values().copy_(drawn.mul_(kScale));
}

}  // namespace

StepMemory::StepMemory(const Recipe& recipe, const Runtime& runtime, const models::ModelConfig& config,
                       const LargestBatch& largest, Warnings& warnings)
    : recipe_(recipe),
      runtime_(runtime),
      models_(config, {runtime.dtype, at::kCPU, recipe.load_in_8bit}),
      whole_(models_.make(config.num_hidden_layers)) {
  runtime_.device = at::kCPU;
  double elements = 0;
  for (const models::NamedWeight& weight : whole_->weights()) {
    elements += static_cast<double>(weight.slot->numel());
    base_bytes_ += static_cast<double>(weight.slot->nbytes());
  }
  for (const nn::LinearGroup* group : whole_->slots().groups)
    for (const nn::LinearMember& member : group->members)
      if (member.weight.in_8bit()) base_bytes_ += static_cast<double>(member.weight.scales.nbytes());
  if (trains_all(recipe)) {
    trainable_elements_ = elements;
    base_bytes_ = 0;
    batch_ = largest(/*keep_padding=*/false);
    like_.assign(static_cast<size_t>(config.num_hidden_layers), 0);
    return;
  }
  set_ = adapters::AdapterSet::create(recipe.method, whole_->slots(), runtime.parameter_dtype(), at::kCPU, warnings);
  batch_ = largest(set_->sequence_needs().padding);
  randomise(set_->parameters());
  trainable_elements_ = static_cast<double>(set_->parameters().size());
  describe_layers();
}

StepMemory::~StepMemory() = default;

int64_t StepMemory::layers() const { return models_.config().num_hidden_layers; }

void StepMemory::describe_layers() {
  std::map<std::string, adapters::SiteCost> cost_of;
  for (const adapters::SiteCost& cost : set_->costs()) cost_of[cost.module] = cost;
  // The place within the layer, and what stands there.
  using Site = std::tuple<size_t, size_t, std::string, int64_t, int64_t, double>;
  std::vector<std::vector<Site>> sites;
  lowest_ = layers();
  for (int64_t layer = 0; layer < layers(); ++layer) {
    const Places places = places_of(*whole_, layer);
    std::vector<Site> own;
    const auto add = [&](size_t i, size_t j, const std::string& module) {
      if (const auto found = cost_of.find(module); found != cost_of.end()) {
        const adapters::SiteCost& cost = found->second;
        own.emplace_back(i, j, cost.method, cost.trainable, cost.active, cost.flops_per_token);
      }
    };
    for (size_t i = 0; i < places.groups.size(); ++i)
      for (size_t j = 0; j < places.groups[i]->members.size(); ++j) add(i, j, places.groups[i]->members[j].module);
    for (size_t i = 0; i < places.mlps.size(); ++i) add(places.groups.size() + i, 0, places.mlps[i]->module);
    if (!own.empty()) lowest_ = std::min(lowest_, layer);
    like_.push_back(std::find(sites.begin(), sites.end(), own) - sites.begin());
    sites.push_back(std::move(own));
  }
  lowest_ = std::min(lowest_, layers() - 1);  // an adapter on the head alone
}

double StepMemory::measured(const std::vector<int64_t>& layers, int64_t recomputed) {
  std::vector<int64_t> kinds;
  for (const int64_t layer : layers) kinds.push_back(like_[static_cast<size_t>(layer)]);
  const auto key = std::make_pair(kinds, recomputed);
  const auto found = measured_.find(key);
  return found != measured_.end() ? found->second : measured_[key] = measure(kinds, recomputed);
}

double StepMemory::measure(const std::vector<int64_t>& layers, int64_t recomputed) {
  const auto model = models_.make(static_cast<int64_t>(layers.size()));
  model->set_recomputed_layers(recomputed);
  if (set_ == nullptr) {
    Warnings silent(/*strict=*/false, /*print=*/false);
    const auto trainable = make_full_trainable(recipe_, runtime_, *model, silent);
    const DeviceBatch batch = put_on_device(batch_, *model, /*keep_padding=*/false);
    const auto none = [](const nn::RoutingReport&) { return at::Tensor(); };
    return static_cast<double>(peak_allocation([&] { train_pass(*model, trainable->parameters(), none, batch); }));
  }
  for (size_t i = 0; i < layers.size(); ++i)
    carry_over(places_of(*whole_, layers[i]), places_of(*model, static_cast<int64_t>(i)), *set_);
  carry_over(places_of(*whole_, -1), places_of(*model, -1), *set_);
  const nn::SequenceNeeds needs = set_->sequence_needs();
  const DeviceBatch batch = with_made_up_facts(batch_, *model, needs.clusters, needs.padding);
  const auto auxiliary = [&](const nn::RoutingReport& report) { return set_->auxiliary_loss(report); };
  nn::RoutingTally tally(set_->routed_gates());
  return static_cast<double>(
      peak_allocation([&] { train_pass(*model, set_->parameters(), auxiliary, batch, &tally); }));
}

double StepMemory::added(int64_t layer, bool recomputed) {
  const int64_t count = recomputed ? 1 : 0, top = layers() - 1;
  return measured({lowest_, layer, top}, 2 * count) - measured({lowest_, top}, count);
}

double StepMemory::peak(int64_t recomputed) {
  const int64_t top = layers() - 1;
  if (lowest_ == top) return measured({top}, recomputed > top ? 1 : 0);
  // Layers below the lowest adapter keep nothing either way.
  double sum = measured({lowest_, top}, recomputed > top ? 2 : recomputed > lowest_ ? 1 : 0);
  // A recomputed layer keeps its input, which shows only where the peak lies above it: as with a layer like the lowest.
  for (int64_t layer = lowest_ + 1; layer < top; ++layer)
    sum += layer < recomputed ? std::max(added(layer, true), added(lowest_, true)) : added(layer, false);
  return sum;
}

}  // namespace morex::train
