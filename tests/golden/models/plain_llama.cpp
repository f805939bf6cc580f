#include "golden/models/plain_llama.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tensor.h>

#include <cmath>
#include <limits>
#include <map>

#include "models/rope.h"

namespace morex::test {
namespace {

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  const at::Tensor wide = x.to(at::kFloat);
  return weight * (wide * at::rsqrt(wide.pow(2).mean(-1, true) + eps)).to(x.scalar_type());
}

at::Tensor rotated(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  const auto halves = x.chunk(2, -1);
  return x * cos + at::cat({-halves[1], halves[0]}, -1) * sin;
}

}  // namespace

at::Tensor plain_llama_logits(models::CausalLm& model, const std::vector<int64_t>& ids) {
  const at::NoGradGuard no_grad;
  const models::ModelConfig& config = model.config();
  std::map<std::string, at::Tensor> weights;
  for (const models::NamedWeight& weight : model.weights()) weights[weight.name] = *weight.slot;
  const auto length = static_cast<int64_t>(ids.size());
  const int64_t heads = config.num_attention_heads, key_heads = config.num_key_value_heads, width = config.head_dim;
  const models::RopeTables rope(config, width, model.dtype(), model.device());
  const auto tables = rope(at::arange(length, at::TensorOptions(at::kLong).device(model.device())));
  const at::Tensor cos = tables.cos.to(model.dtype()), sin = tables.sin.to(model.dtype());
  const at::Tensor hidden_keys =
      at::ones({length, length}, at::TensorOptions(at::kBool).device(model.device())).triu(1);
  at::Tensor x = at::embedding(weights["model.embed_tokens.weight"], at::tensor(ids, at::kLong).to(model.device()));
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    const std::string layer = "model.layers." + std::to_string(i) + ".";
    const auto linear = [&](const at::Tensor& in, const char* name) {
      return at::linear(in, weights[layer + name + ".weight"]);
    };
    at::Tensor h = rms_norm(x, weights[layer + "input_layernorm.weight"], config.rms_norm_eps);
    const auto split = [&](const char* name) {  // [heads, L, K]
      return linear(h, name).view({length, -1, width}).transpose(0, 1);
    };
    const at::Tensor q = rotated(split("self_attn.q_proj"), cos, sin);
    const at::Tensor k = rotated(split("self_attn.k_proj"), cos, sin).repeat_interleave(heads / key_heads, 0);
    const at::Tensor v = split("self_attn.v_proj").repeat_interleave(heads / key_heads, 0);
    const at::Tensor scores = at::matmul(q, k.transpose(1, 2)) / std::sqrt(static_cast<double>(width));
    const at::Tensor shown = scores.masked_fill(hidden_keys, -std::numeric_limits<double>::infinity());
    const at::Tensor mixed = at::matmul(at::softmax(shown, -1, at::kFloat).to(x.scalar_type()), v);
    x = x + linear(mixed.transpose(0, 1).reshape({length, -1}), "self_attn.o_proj");
    h = rms_norm(x, weights[layer + "post_attention_layernorm.weight"], config.rms_norm_eps);
    x = x + linear(at::silu(linear(h, "mlp.gate_proj")) * linear(h, "mlp.up_proj"), "mlp.down_proj");
  }
  x = rms_norm(x, weights["model.norm.weight"], config.rms_norm_eps);
  return at::linear(x, weights[config.tie_word_embeddings ? "model.embed_tokens.weight" : "lm_head.weight"]);
}

}  // namespace morex::test
