#include "models/bert_encoder.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "models/weight_source.h"
#include "ops/activate.h"
#include "ops/attention.h"
#include "ops/gemm.h"

namespace morex::models {

BertEncoder BertEncoder::load(const std::filesystem::path& folder, Warnings& warnings) {
  BertEncoder model(read_bert_config(folder / "config.json"));
  const BertConfig& config = model.config_;
  const auto weights = open_hf_weights(folder, {at::kFloat, at::kCPU});
  const Dim hidden{config.hidden_size, "hidden_size"}, inner{config.intermediate_size, "intermediate_size"};
  const auto linear = [&](const std::string& module, Dim out, Dim in) {
    return Linear{weights->take(module + ".weight", {out, in}), weights->take(module + ".bias", {out})};
  };
  const auto norm = [&](const std::string& module) {
    return Norm{weights->take(module + ".weight", {hidden}), weights->take(module + ".bias", {hidden})};
  };
  const auto table = [&](const std::string& name, int64_t rows, const char* setting) {
    return weights->take("embeddings." + name + ".weight", {{rows, setting}, hidden});
  };
  model.words_ = table("word_embeddings", config.vocab_size, "vocab_size");
  model.positions_ = table("position_embeddings", config.max_position_embeddings, "max_position_embeddings");
  model.types_ = table("token_type_embeddings", config.type_vocab_size, "type_vocab_size");
  model.embedding_norm_ = norm("embeddings.LayerNorm");
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    const std::string module = fmt::format("encoder.layer.{}", i);
    Layer layer;
    layer.query = linear(module + ".attention.self.query", hidden, hidden);
    layer.key = linear(module + ".attention.self.key", hidden, hidden);
    layer.value = linear(module + ".attention.self.value", hidden, hidden);
    layer.attention_out = linear(module + ".attention.output.dense", hidden, hidden);
    layer.attention_norm = norm(module + ".attention.output.LayerNorm");
    layer.up = linear(module + ".intermediate.dense", inner, hidden);
    layer.down = linear(module + ".output.dense", hidden, inner);
    layer.norm = norm(module + ".output.LayerNorm");
    model.layers_.push_back(std::move(layer));
  }
  // Not parts of the last hidden states; position_ids is a buffer of old files.
  for (const char* unused : {"embeddings.position_ids", "pooler.dense.weight", "pooler.dense.bias"})
    weights->leave(unused);
  model.digest_ = weights->finish(warnings);
  return model;
}

at::Tensor BertEncoder::apply(const Linear& linear, const at::Tensor& x) {
  return ops::matmul_nt(x, linear.weight).add_(linear.bias);
}

at::Tensor BertEncoder::normalise(const Norm& norm, const at::Tensor& x) const {
  return at::layer_norm(x, {config_.hidden_size}, norm.weight, norm.bias, config_.layer_norm_eps);
}

at::Tensor BertEncoder::attend(const Layer& layer, const at::Tensor& x) const {
  const int64_t length = x.size(0), width = config_.hidden_size / config_.num_attention_heads;
  const auto heads = [&](const Linear& linear) {  // [L, D] -> [1, H, L, K]
    return apply(linear, x).view({1, length, -1, width}).transpose(1, 2);
  };
  ops::AttentionKind everything;
  everything.causal = false;
  const at::Tensor out = ops::attention(heads(layer.query), heads(layer.key), heads(layer.value),
                                        1.0 / std::sqrt(static_cast<double>(width)), everything);  // [1, H, L, K]
  return apply(layer.attention_out, out.transpose(1, 2).reshape({length, config_.hidden_size}));
}

at::Tensor BertEncoder::hidden(const std::vector<int64_t>& ids) const {
  const at::NoGradGuard no_gradients;
  const auto length = static_cast<int64_t>(ids.size());
  MOREX_CHECK(length >= 1 && length <= config_.max_position_embeddings, ErrorKind::kData,
              "[encoder] a text must have 1 to {} ids, got {}", config_.max_position_embeddings, length);
  const auto [low, high] = std::minmax_element(ids.begin(), ids.end());
  MOREX_CHECK(*low >= 0 && *high < config_.vocab_size, ErrorKind::kFormat,
              "[encoder] ids must be between 0 and {}, got {} to {}. Hint: the tokenizer must belong to the encoder",
              config_.vocab_size - 1, *low, *high);
  const at::Tensor words = words_.index_select(0, at::tensor(ids, at::kLong));                     // [L, D]
  at::Tensor x = normalise(embedding_norm_, words + types_[0] + positions_.narrow(0, 0, length));  // [L, D]
  for (const Layer& layer : layers_) {
    x = normalise(layer.attention_norm, x + attend(layer, x));
    x = normalise(layer.norm, x + apply(layer.down, ops::activate(apply(layer.up, x), ops::Activation::kGelu)));
  }
  return x;
}

}  // namespace morex::models
