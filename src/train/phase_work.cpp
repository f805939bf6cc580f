#include "train/phase_work.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "base/error.h"
#include "base/random.h"
#include "data/batch.h"

namespace morex::train {
data::Batch synthetic_rows(int64_t vocab_size, int64_t rows, int64_t length) {
  const RandomKey key{0, stream_id("synthetic batch"), 0};
  data::Batch batch;
  batch.rows = rows;
  batch.length = length;
  batch.lengths.assign(static_cast<size_t>(rows), length);
  batch.prompt_lengths.assign(static_cast<size_t>(rows), 0);
  for (int64_t i = 0; i < rows * length; ++i)
    batch.ids.push_back(
        static_cast<int64_t>(uniform_at(key, static_cast<uint64_t>(i)) * static_cast<double>(vocab_size)));
  batch.labels = batch.ids;
  return batch;
}

void make_up_facts(nn::BatchContext& ctx, int64_t rows, const std::vector<int64_t>& cluster_counts, at::Device device) {
  for (const int64_t count : cluster_counts)
    ctx.per_sequence["cluster_scores." + std::to_string(count)] =
        at::full({rows, count}, 0.1, at::TensorOptions(at::kFloat).device(device));
  const at::Tensor numbers = at::arange(rows, at::TensorOptions(at::kLong).device(device));
  ctx.per_sequence["task_ids"] = at::zeros({rows}, numbers.options());
  ctx.per_sequence["sample_types"] = numbers.remainder(2);
}

DeviceBatch with_made_up_facts(const data::Batch& batch, const models::CausalLm& model,
                               const std::vector<int64_t>& cluster_counts, bool keep_padding) {
  DeviceBatch made = put_on_device(batch, model, keep_padding);
  make_up_facts(made.ctx, batch.rows, cluster_counts, model.device());
  return made;
}

DeviceBatch synthetic_batch(const models::CausalLm& model, int64_t rows, int64_t length,
                            const std::vector<int64_t>& cluster_counts) {
  const data::Batch batch = synthetic_rows(model.config().vocab_size, rows, length);
  return with_made_up_facts(batch, model, cluster_counts, /*keep_padding=*/true);
}

double milliseconds(const models::CausalLm& model, const std::function<void()>& work) {
  const auto wait = [&] {
    if (!model.device().is_cpu()) at::zeros({}, at::TensorOptions(model.device())).item<float>();
  };
  wait();
  const auto start = std::chrono::steady_clock::now();
  work();
  wait();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

void train_pass(const models::CausalLm& model, nn::ParameterStore& store, const AuxiliaryLoss& auxiliary,
                const DeviceBatch& batch, nn::RoutingTally* tally) {
  store.zero_grads();
  nn::RoutingReport report;
  report.tally = tally;
  const at::Tensor h = model.hidden(batch.ids, batch.ctx, report).index_select(0, batch.rows);  // [N, D]
  at::Tensor loss = model.loss_sum(h, batch.targets, batch.ctx, report) / static_cast<double>(batch.rows.numel());
  const at::Tensor extra = auxiliary(report);
  if (tally != nullptr) tally->flush();
  if (extra.defined()) loss = loss + extra;
  loss.backward();
}

void prefill_pass(const models::CausalLm& model, const DeviceBatch& batch) {
  const at::NoGradGuard no_gradients;
  nn::BatchContext ctx = batch.ctx;
  ctx.phase = nn::Phase::kPrefill;
  nn::RoutingReport report;
  const at::Tensor h = model.hidden(batch.ids, ctx, report);                              // [B·L, D]
  const at::Tensor last = h.view({ctx.batch, ctx.length, -1}).select(1, ctx.length - 1);  // [B, D]
  ctx.length = 1;
  model.logits(last, ctx, report);
}

DecodeWork::DecodeWork(const models::CausalLm& model, const DeviceBatch& batch)
    : model_(model), batch_(batch), cache_(model.make_cache(batch.ctx.batch, batch.ctx.length + 64)) {
  const at::NoGradGuard no_gradients;
  nn::BatchContext ctx = batch.ctx;
  ctx.phase = nn::Phase::kPrefill;
  nn::RoutingReport report;
  model.hidden(batch.ids, ctx, report, &cache_);
  batch_.ids = batch.ids.narrow(1, 0, 1).contiguous();
  batch_.ctx.length = 1;
  batch_.ctx.phase = nn::Phase::kDecode;
}

void DecodeWork::operator()() {
  const at::NoGradGuard no_gradients;
  nn::RoutingReport report;
  model_.logits(model_.hidden(batch_.ids, batch_.ctx, report, &cache_), batch_.ctx, report);
}

std::vector<const nn::LinearMember*> projections_of(models::CausalLm& model, const adapters::AdapterSet& set) {
  const std::vector<adapters::SiteCost> sites = set.costs();
  std::vector<const nn::LinearMember*> members;
  for (const nn::LinearGroup* group : model.slots().groups)
    for (const nn::LinearMember& member : group->members)
      if (std::any_of(sites.begin(), sites.end(), [&member](const adapters::SiteCost& site) {
            return member.module == site.module || member.module.starts_with(site.module + ".");
          }))
        members.push_back(&member);
  MOREX_ASSERT(!members.empty());
  return members;
}

Json equal_lora_method(models::CausalLm& model, const adapters::AdapterSet& set) {
  std::vector<std::string> targets;
  int64_t each = 0;  // parameters per rank
  for (const nn::LinearMember* member : projections_of(model, set)) {
    targets.push_back(member->module);
    each += member->weight.in_features() + member->weight.out_features();
  }
  const auto size = static_cast<double>(set.parameters().parameter_count());
  const int64_t rank = std::max<int64_t>(1, std::llround(size / static_cast<double>(each)));
  return {{"method", "lora"}, {"r", rank}, {"lora_alpha", 2 * rank}, {"target_modules", targets}};
}

std::unique_ptr<adapters::AdapterSet> least_adapter(models::CausalLm& model, const adapters::AdapterSet& set,
                                                    Warnings& warnings) {
  const Json method = {{"method", "lora"}, {"r", 1}, {"target_modules", {projections_of(model, set).front()->module}}};
  auto least = adapters::AdapterSet::create(method, model.slots(), set.parameters().dtype(), model.device(), warnings);
  least->initialize(0);
  return least;
}

BaseFlops base_flops(models::CausalLm& model, double context) {
  BaseFlops flops;
  for (const nn::LinearGroup* group : model.slots().groups)
    for (const nn::LinearMember& member : group->members)
      (group->layer < 0 ? flops.logits : flops.token) +=
          2.0 * static_cast<double>(member.weight.in_features() * member.weight.out_features());
  const models::ModelConfig& config = model.config();
  const auto width = static_cast<double>(config.num_attention_heads * config.head_dim);
  flops.token += static_cast<double>(config.num_hidden_layers) * 4.0 * width * context;  // scores, and values
  return flops;
}

}  // namespace morex::train
