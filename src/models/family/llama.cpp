// Llama: RMS norms before attention and before a gated feed-forward block, rotary positions, grouped key-value heads.
// Source: Touvron et al. 2023, sections 2.2 and 2.3; names and options as in Hugging Face's LlamaForCausalLM.
#include <ATen/core/Tensor.h>
#include <fmt/core.h>

#include <deque>

#include "models/decoder_lm.h"
#include "ops/add_rms_norm.h"
#include "ops/rms_norm.h"
#include "ops/time_recorder.h"

namespace morex::models {
namespace {

struct Layer {
  at::Tensor input_norm, mlp_norm;  // [D]
  nn::LinearGroup qkv, o;
  nn::Mlp mlp;
};

class Llama : public DecoderLm {
 public:
  Llama(const ModelConfig& config, WeightSource& weights) : DecoderLm(config, weights.options()) {
    take_embedding(weights, "model.embed_tokens", "lm_head");
    const Dim hidden{config.hidden_size, "hidden_size"};
    for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
      const std::string module = fmt::format("model.layers.{}", i);
      Layer& layer = layers_.emplace_back();
      take_layer(weights, i, module, layer, config);
      add(layer.qkv);
      add(layer.o);
      add(layer.mlp);
      add(module + ".input_layernorm.weight", layer.input_norm);
      add(module + ".post_attention_layernorm.weight", layer.mlp_norm);
    }
    norm_ = weights.take("model.norm.weight", {hidden});
    add("model.norm.weight", norm_);
    take_head(weights, "lm_head");
    add_head();
  }

  at::Tensor hidden(const at::Tensor& ids, const nn::BatchContext& ctx, nn::RoutingReport& report, nn::KvCache* cache,
                    std::vector<at::Tensor>* all_hidden) const override {
    const Call call = begin(ids, ctx, cache);
    const at::Tensor embedded = embed(ids, ctx);  // [T, D]
    ops::StreamAndNorm x{embedded, ops::rms_norm(embedded, input_norm(0), config().rms_norm_eps)};
    const bool recomputes = recomputed_layers() > 0 && cache == nullptr && !report.keep_details;
    const auto kept = recomputes ? std::make_shared<const Kept>(call, ctx) : nullptr;
    for (size_t i = 0; i < layers_.size(); ++i) {
      if (all_hidden != nullptr) all_hidden->push_back(x.stream);
      if (recomputes && static_cast<int64_t>(i) < recomputed_layers()) {
        x = recomputed(std::move(x), report, [this, i, kept](ops::StreamAndNorm x, nn::RoutingReport& report) {
          return run_layer(i, std::move(x), kept->call, kept->ctx, report, nullptr);
        });
      } else {
        x = run_layer(i, std::move(x), call, ctx, report, cache);
      }
    }
    if (all_hidden != nullptr) all_hidden->push_back(x.normed);
    if (cache != nullptr) cache->advance(call.length);
    return x.normed;
  }

 private:
  // What a layer needs when it runs again after hidden() has returned.
  struct Kept {
    Kept(const Call& made, const nn::BatchContext& given) : call(made), ctx(given) {}
    Call call;
    nn::BatchContext ctx;
  };

  ops::StreamAndNorm run_layer(size_t index, ops::StreamAndNorm x, const Call& call, const nn::BatchContext& ctx,
                               nn::RoutingReport& report, nn::KvCache* cache) const {
    const ops::PlaceScope place(static_cast<int64_t>(index));
    const Layer& layer = layers_[index];
    const double eps = config().rms_norm_eps;
    const auto qkv = layer.qkv.forward(x.normed, ctx, report);
    const at::Tensor mixed = attend(call, static_cast<int64_t>(index), qkv[0], qkv[1], qkv[2], cache);  // [T, H·K]
    x = ops::add_rms_norm(x.stream, layer.o.forward(mixed, ctx, report)[0], layer.mlp_norm, eps);
    return ops::add_rms_norm(x.stream, layer.mlp.forward(x.normed, ctx, report), input_norm(index + 1), eps);
  }

  // Of layer `index`; behind the last one the model's own.
  const at::Tensor& input_norm(size_t index) const {
    return index < layers_.size() ? layers_[index].input_norm : norm_;
  }

  static void take_layer(WeightSource& weights, int64_t index, const std::string& module, Layer& layer,
                         const ModelConfig& config) {
    const Dim hidden{config.hidden_size, "hidden_size"};
    const Dim queries{config.num_attention_heads * config.head_dim, "num_attention_heads·head_dim"};
    const Dim keys{config.num_key_value_heads * config.head_dim, "num_key_value_heads·head_dim"};
    const std::string attention = module + ".self_attn";
    const bool bias = config.attention_bias;
    layer.input_norm = weights.take(module + ".input_layernorm.weight", {hidden});
    layer.qkv.layer = layer.o.layer = index;
    layer.qkv.members = {take_linear(weights, attention + ".q_proj", queries, hidden, bias),
                         take_linear(weights, attention + ".k_proj", keys, hidden, bias),
                         take_linear(weights, attention + ".v_proj", keys, hidden, bias)};
    layer.o.members = {take_linear(weights, attention + ".o_proj", hidden, queries, bias)};
    layer.mlp_norm = weights.take(module + ".post_attention_layernorm.weight", {hidden});
    layer.mlp = take_gated_mlp(weights, config, index, module + ".mlp");
  }

  std::deque<Layer> layers_;  // a deque: slots point into it
  at::Tensor norm_;           // [D]
};

}  // namespace

std::unique_ptr<CausalLm> build_llama(const ModelConfig& config, WeightSource& weights) {
  return std::make_unique<Llama>(config, weights);
}

}  // namespace morex::models
