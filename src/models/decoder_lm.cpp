#include "models/decoder_lm.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/aminmax.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/where.h>

#include <cmath>

#include "base/error.h"
#include "ops/grid_rows.h"
#include "ops/linear_cross_entropy.h"
#include "ops/recompute.h"
#include "ops/rope.h"
#include "ops/time_recorder.h"

namespace morex::models {

DecoderLm::DecoderLm(const ModelConfig& config, const LoadOptions& options) {
  config_ = config;
  dtype_ = options.dtype;
  device_ = options.device;
  in_8bit_ = options.load_in_8bit;
  // Counting needs no positions, and their frequencies cannot be computed without data.
  if (!device_.is_meta()) rope_ = RopeTables(config, config.head_dim, options.dtype, options.device);
}

nn::LinearMember DecoderLm::take_linear(WeightSource& weights, const std::string& module, Dim out, Dim in, bool bias) {
  nn::LinearMember member;
  member.module = module;
  if (weights.options().load_in_8bit) {
    const ops::Int8Blocks blocks = weights.take_int8(module + ".weight", {out, in});
    member.weight = {blocks.values, false, blocks.scales};
  } else {
    member.weight.value = weights.take(module + ".weight", {out, in});
  }
  if (bias) member.bias = weights.take(module + ".bias", {out});
  return member;
}

nn::Mlp DecoderLm::take_gated_mlp(WeightSource& weights, const ModelConfig& config, int64_t layer,
                                  const std::string& module) {
  const Dim hidden{config.hidden_size, "hidden_size"}, inner{config.intermediate_size, "intermediate_size"};
  nn::Mlp mlp;
  mlp.layer = layer;
  mlp.module = module;
  mlp.activation = config.hidden_act;
  mlp.gate_up.layer = layer;
  mlp.gate_up.members = {take_linear(weights, module + ".gate_proj", inner, hidden, config.mlp_bias),
                         take_linear(weights, module + ".up_proj", inner, hidden, config.mlp_bias)};
  mlp.down.layer = layer;
  mlp.down.members = {take_linear(weights, module + ".down_proj", hidden, inner, config.mlp_bias)};
  return mlp;
}

void DecoderLm::take_embedding(WeightSource& weights, const std::string& module, const std::string& head_module) {
  const bool under_head =
      config_.tie_word_embeddings && !weights.has(module + ".weight") && weights.has(head_module + ".weight");
  embedding_.module = module;
  embedding_.weight = weights.take((under_head ? head_module : module) + ".weight",
                                   {{config_.vocab_size, "vocab_size"}, {config_.hidden_size, "hidden_size"}});
  add(embedding_);
}

void DecoderLm::take_head(WeightSource& weights, const std::string& module) {
  if (config_.tie_word_embeddings) {
    weights.expect_tied(module + ".weight", embedding_.module + ".weight");
    head_.members = {{module, {embedding_.weight, false}, {}}};
    tied_to_ = embedding_.weight;
  } else {
    const std::vector<Dim> shape = {{config_.vocab_size, "vocab_size"}, {config_.hidden_size, "hidden_size"}};
    head_.members = {{module, {weights.take(module + ".weight", shape), false}, {}}};
  }
}

void DecoderLm::add(nn::Embedding& embedding) {
  slots_.embeddings.push_back(&embedding);
  add(embedding.module + ".weight", embedding.weight);
}

void DecoderLm::add(nn::LinearGroup& group) {
  slots_.groups.push_back(&group);
  for (nn::LinearMember& member : group.members) {
    add(member.module + ".weight", member.weight.value);
    if (member.bias.defined()) add(member.module + ".bias", member.bias);
  }
}

void DecoderLm::add(nn::Mlp& mlp) {
  slots_.mlps.push_back(&mlp);
  add(mlp.gate_up);
  add(mlp.down);
}

void DecoderLm::add(const std::string& name, at::Tensor& weight) { weights_.push_back({name, &weight}); }

void DecoderLm::add_head() {
  if (tied_to_.defined()) {
    slots_.groups.push_back(&head_);
  } else {
    add(head_);
  }
}

DecoderLm::Call DecoderLm::begin(const at::Tensor& ids, const nn::BatchContext& ctx, const nn::KvCache* cache) const {
  MOREX_ASSERT(ids.dim() == 2 && ids.size(0) == ctx.batch && ids.size(1) == ctx.length);
  const int64_t past = cache == nullptr ? 0 : cache->length(), total = past + ctx.length;
  Call call;
  call.batch = ctx.batch;
  call.length = ctx.length;
  call.places = ctx.places;
  MOREX_ASSERT(!ctx.places.defined() || (cache == nullptr && !ctx.token_mask.defined()));
  at::Tensor positions = ctx.positions;  // [B, L]
  if (!positions.defined()) {
    positions = at::arange(past, total, at::TensorOptions(at::kLong).device(device_));  // [L]
  } else {
    MOREX_ASSERT(positions.sizes() == ids.sizes());
  }
  call.rope = rope_(positions);
  // Under causal attention no real token sees what is to its right: right padding needs no mask.
  if (ctx.token_mask.defined() && !ctx.right_padded) {
    MOREX_ASSERT(ctx.token_mask.size(1) == total);
    call.attention.key_mask = ctx.token_mask;
  }
  if (ctx.segments.defined()) {
    MOREX_ASSERT(past == 0 && ctx.segments.sizes() == ids.sizes());
    call.attention.segments = ctx.segments;
  }
  return call;
}

at::Tensor DecoderLm::embed(const at::Tensor& ids, const nn::BatchContext& ctx) const {
  const ops::PlaceScope place(embedding_.module);
  const at::Tensor flat = ids.reshape({-1});  // [B·L]
  if (flat.numel() > 0) {
    const auto [low, high] = at::aminmax(flat);
    MOREX_CHECK(low.item<int64_t>() >= 0 && high.item<int64_t>() < config_.vocab_size, ErrorKind::kData,
                "[model] token ids must be between 0 and {}, got {} … {}. Hint: the tokenizer must belong to the model",
                config_.vocab_size - 1, low.item<int64_t>(), high.item<int64_t>());
  }
  const at::Tensor present = ctx.places.defined() ? flat.index_select(0, ctx.places) : flat;
  const at::Tensor x = embedding_.forward(present).to(dtype_);  // [T, D]
  if (!x.requires_grad() || config_.pad_token_id < 0) return x;
  return at::where(present.eq(config_.pad_token_id).unsqueeze(-1), x.detach(), x);
}

at::Tensor DecoderLm::attend(const Call& call, int64_t layer, const at::Tensor& q, const at::Tensor& k,
                             const at::Tensor& v, nn::KvCache* cache) const {
  const ops::PlaceScope place("attention");
  const int64_t head_dim = config_.head_dim;
  const int64_t grid = call.batch * call.length;
  const auto heads = [&](const at::Tensor& x) {  // [T, H·K] -> [B, H, L, K]
    return (call.places.defined() ? ops::to_grid(x, call.places, grid) : x)
        .view({call.batch, call.length, -1, head_dim})
        .transpose(1, 2);
  };
  const at::Tensor queries = ops::rope(heads(q), call.rope.cos, call.rope.sin);
  at::Tensor keys = ops::rope(heads(k), call.rope.cos, call.rope.sin), values = heads(v);
  if (cache != nullptr) std::tie(keys, values) = cache->append(layer, keys, values);  // [B, Hk, S, K]
  const double scale = 1.0 / std::sqrt(static_cast<double>(head_dim));
  const at::Tensor out = ops::attention(queries, keys, values, scale, call.attention);  // [B, H, L, K]
  const at::Tensor rows = out.transpose(1, 2).reshape({grid, -1});                      // [B·L, H·K]
  return call.places.defined() ? ops::from_grid(rows, call.places) : rows;
}

ops::StreamAndNorm DecoderLm::recomputed(ops::StreamAndNorm x, nn::RoutingReport& report, const LayerFunction& layer) {
  // The sums that losses are formed from leave the layer beside its output: their gradients must come back into it.
  const auto run = [](const LayerFunction& layer, const ops::Tensors& inputs, nn::RoutingReport& report) {
    const ops::StreamAndNorm y = layer({inputs[0], inputs[1]}, report);
    ops::Tensors outputs{y.stream, y.normed};
    for (const nn::GateReport& gate : report.gates)
      for (const auto& [name, sum] : gate.sums) outputs.push_back(sum);
    return outputs;
  };
  nn::RoutingReport own;
  own.tally = report.tally;
  ops::Tensors outputs = ops::recompute(
      {std::move(x.stream), std::move(x.normed)}, [&](const ops::Tensors& inputs) { return run(layer, inputs, own); },
      [run, layer](const ops::Tensors& inputs) {
        nn::RoutingReport again;  // without a tally: every token is counted once
        return run(layer, inputs, again);
      });
  size_t next = 2;
  for (nn::GateReport& gate : own.gates) {
    for (auto& [name, sum] : gate.sums) sum = std::move(outputs[next++]);
    report.gates.push_back(std::move(gate));
  }
  return {std::move(outputs[0]), std::move(outputs[1])};
}

const nn::LinearGroup& DecoderLm::head() const {
  if (tied_to_.defined() && !tied_to_.is_same(embedding_.weight)) {
    head_.members.front().weight.value = embedding_.weight;
    tied_to_ = embedding_.weight;
  }
  return head_;
}

at::Tensor DecoderLm::logits(const at::Tensor& h, const nn::BatchContext& ctx, nn::RoutingReport& report) const {
  return head().forward(h, ctx, report)[0];  // [N, V]
}

at::Tensor DecoderLm::loss_sum(const at::Tensor& h, const at::Tensor& targets, const nn::BatchContext& ctx,
                               nn::RoutingReport& report) const {
  if (head().adapter != nullptr) return ops::cross_entropy_sum(logits(h, ctx, report), targets);
  const ops::PlaceScope place(head().members.front().module);
  const nn::LinearWeight& weight = head().members.front().weight;
  return ops::linear_cross_entropy(h, weight.value, targets, weight.transposed);
}

}  // namespace morex::models
