#include "shapes.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "arguments.h"
#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "base/random.h"
#include "io/safetensors.h"
#include "modes.h"

namespace morex::bench {
namespace {

namespace fs = std::filesystem;

struct Shape {
  const char* name;
  int64_t hidden, heads, kv_heads, ffn, layers, vocabulary;
};

constexpr Shape kShapes[] = {
    {"S", 512, 8, 4, 1408, 8, 32000},
    {"M", 1024, 16, 8, 2816, 8, 32000},
};

constexpr double kStandardDeviation = 0.02;

// No end id: generation goes on to the length asked for.
Json config_of(const Shape& shape) {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"model_type", "llama"},
          {"hidden_size", shape.hidden},
          {"intermediate_size", shape.ffn},
          {"num_hidden_layers", shape.layers},
          {"num_attention_heads", shape.heads},
          {"num_key_value_heads", shape.kv_heads},
          {"head_dim", shape.hidden / shape.heads},
          {"hidden_act", "silu"},
          {"vocab_size", shape.vocabulary},
          {"max_position_embeddings", 2048},
          {"rms_norm_eps", 1e-6},
          {"rope_theta", 10000.0},
          {"attention_bias", false},
          {"mlp_bias", false},
          {"tie_word_embeddings", true},
          {"bos_token_id", 1},
          {"eos_token_id", nullptr},
          {"dtype", "float32"}};
}

struct Weight {
  std::string name;
  std::vector<int64_t> shape;
  std::vector<float> values;
};

Weight random_weight(const std::string& name, int64_t out, int64_t in) {
  Weight weight{name, {out, in}, std::vector<float>(static_cast<size_t>(out * in))};
  std::vector<double> drawn(1 << 16);
  for (size_t start = 0; start < weight.values.size(); start += drawn.size()) {
    const size_t count = std::min(drawn.size(), weight.values.size() - start);
    fill_normal({0, stream_id(name), 0}, start, {drawn.data(), count});
    for (size_t i = 0; i < count; ++i) weight.values[start + i] = static_cast<float>(kStandardDeviation * drawn[i]);
  }
  return weight;
}

Weight norm(const std::string& name, int64_t width) {
  return {name, {width}, std::vector<float>(static_cast<size_t>(width), 1.0f)};
}

std::vector<Weight> weights_of(const Shape& shape) {
  const int64_t width = shape.hidden, kv_width = width / shape.heads * shape.kv_heads;
  std::vector<Weight> weights = {random_weight("model.embed_tokens.weight", shape.vocabulary, width),
                                 norm("model.norm.weight", width)};
  for (int64_t layer = 0; layer < shape.layers; ++layer) {
    const std::string prefix = fmt::format("model.layers.{}.", layer);
    const auto add = [&](const char* name, int64_t out, int64_t in) {
      weights.push_back(random_weight(prefix + name + ".weight", out, in));
    };
    add("self_attn.q_proj", width, width);
    add("self_attn.k_proj", kv_width, width);
    add("self_attn.v_proj", kv_width, width);
    add("self_attn.o_proj", width, width);
    add("mlp.gate_proj", shape.ffn, width);
    add("mlp.up_proj", shape.ffn, width);
    add("mlp.down_proj", width, shape.ffn);
    weights.push_back(norm(prefix + "input_layernorm.weight", width));
    weights.push_back(norm(prefix + "post_attention_layernorm.weight", width));
  }
  return weights;
}

const Shape& find_shape(const std::string& name) {
  for (const Shape& shape : kShapes)
    if (name == shape.name) return shape;
  fail(ErrorKind::kConfig, "a shape must be S or M, got '{}'", name);
}

}  // namespace

void make_shape(const std::string& name, const fs::path& folder) {
  const Shape& shape = find_shape(name);
  const std::string config = config_of(shape).dump(2) + "\n";
  const fs::path config_file = folder / "config.json", weight_file = folder / "model.safetensors";
  // The configuration is written last: with it the folder is complete.
  if (fs::exists(weight_file) && fs::exists(config_file) && read_text_file(config_file, ErrorKind::kRun) == config)
    return;
  make_directories(folder);
  const std::vector<Weight> weights = weights_of(shape);
  std::vector<io::TensorToWrite> tensors;
  for (const Weight& weight : weights)
    tensors.push_back({weight.name, io::DType::kF32, weight.shape, std::as_bytes(std::span(weight.values))});
  io::write_safetensors(weight_file, std::move(tensors), {{"format", "pt"}});
  write_text_file(config_file, config);
}

void make_shape_mode(const ModeArguments& given) {
  const Arguments arguments(given, {"name", "folder"});
  make_shape(arguments.text("name"), arguments.text("folder"));
}

}  // namespace morex::bench
