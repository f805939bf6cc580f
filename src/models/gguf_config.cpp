// A GGUF's metadata as a ModelConfig.
#include <fmt/ranges.h>

#include <array>
#include <string_view>

#include "base/error.h"
#include "io/gguf.h"
#include "models/families.h"
#include "models/gguf_names.h"
#include "models/model_config.h"

namespace morex::models {
namespace {

constexpr int64_t kLargestSize = int64_t{1} << 28;

class Metadata {
 public:
  Metadata(const io::GgufFile& file, std::string prefix) : file_(file), prefix_(std::move(prefix)) {}

  std::string key(std::string_view name) const { return prefix_ + std::string(name); }
  int64_t size(std::string_view name) const { return checked(name, file_.get_int(key(name))); }
  int64_t size_or(std::string_view name, int64_t fallback) const {
    return checked(name, file_.get_int_or(key(name), fallback));
  }
  // A setting that this architecture has no arithmetic for here.
  void refuse_unless(std::string_view name, double neutral) const {
    if (!file_.has(key(name))) return;
    const double value = file_.get_float_or(key(name), neutral);
    MOREX_CHECK(value == neutral, ErrorKind::kFormat, "[{}] {} = {} is not supported", file_.path().string(), key(name),
                value);
  }

 private:
  int64_t checked(std::string_view name, int64_t value) const {
    MOREX_CHECK(value >= 1 && value <= kLargestSize, ErrorKind::kFormat, "[{}] {} must be between 1 and {}, got {}",
                file_.path().string(), key(name), kLargestSize, value);
    return value;
  }

  const io::GgufFile& file_;
  std::string prefix_;
};

// A huge count must not be believed before the tensors are looked at.
int64_t read_layers(const io::GgufFile& file, const Metadata& metadata) {
  const int64_t announced = file.get_int(metadata.key("block_count"));
  int64_t stored = 0;
  while (file.find(fmt::format("blk.{}.attn_norm.weight", stored)) != nullptr) ++stored;
  MOREX_CHECK(announced >= 1 && announced <= stored, ErrorKind::kFormat,
              "[{}] {} must be between 1 and the {} blocks that are there (no tensor blk.{}.attn_norm.weight), got {}",
              file.path().string(), metadata.key("block_count"), stored, stored, announced);
  return announced;
}

void read_heads(const io::GgufFile& file, const Metadata& metadata, ModelConfig& out) {
  const std::string where = file.path().string();
  out.num_attention_heads = metadata.size("attention.head_count");
  out.num_key_value_heads = metadata.size_or("attention.head_count_kv", out.num_attention_heads);
  MOREX_CHECK(out.num_attention_heads % out.num_key_value_heads == 0, ErrorKind::kFormat,
              "[{}] {} must be a multiple of {}, got {} and {}", where, metadata.key("attention.head_count"),
              metadata.key("attention.head_count_kv"), out.num_attention_heads, out.num_key_value_heads);
  if (file.has(metadata.key("attention.key_length"))) {
    out.head_dim = metadata.size("attention.key_length");
  } else {
    MOREX_CHECK(out.hidden_size % out.num_attention_heads == 0, ErrorKind::kFormat,
                "[{}] {} must be a multiple of {}, got {} and {}", where, metadata.key("embedding_length"),
                metadata.key("attention.head_count"), out.hidden_size, out.num_attention_heads);
    out.head_dim = out.hidden_size / out.num_attention_heads;
  }
  for (const char* name : {"attention.value_length", "rope.dimension_count"}) {
    const int64_t length = metadata.size_or(name, out.head_dim);
    MOREX_CHECK(length == out.head_dim && length % 2 == 0, ErrorKind::kFormat,
                "[{}] {} must be even and equal to the head size {}, got {}", where, metadata.key(name), out.head_dim,
                length);
  }
}

void read_rope(const io::GgufFile& file, const Metadata& metadata, ModelConfig& out) {
  const std::string where = file.path().string();
  out.rope_theta = file.get_float_or(metadata.key("rope.freq_base"), 10000.0);
  MOREX_CHECK(out.rope_theta > 0.0, ErrorKind::kFormat, "[{}] {} must be positive, got {}", where,
              metadata.key("rope.freq_base"), out.rope_theta);
  const std::string type_key = metadata.key("rope.scaling.type");
  const std::string type = file.has(type_key) ? file.get_string(type_key) : "none";
  MOREX_CHECK(type == "none" || type == "linear", ErrorKind::kFormat, "[{}] {} must be none or linear, got '{}'", where,
              type_key, type);
  if (type == "linear") {
    out.rope_scaling.type = "linear";
    out.rope_scaling.factor = file.get_float(metadata.key("rope.scaling.factor"));
    MOREX_CHECK(out.rope_scaling.factor > 0.0, ErrorKind::kFormat, "[{}] {} must be positive, got {}", where,
                metadata.key("rope.scaling.factor"), out.rope_scaling.factor);
  }
  const io::GgufTensor* divisors = file.find(kGgufRopeDivisors);
  if (divisors == nullptr) return;
  MOREX_CHECK(divisors->shape == std::vector<int64_t>{out.head_dim / 2}, ErrorKind::kFormat,
              "[{}] tensor {} must have shape [{}], got {}", where, kGgufRopeDivisors, out.head_dim / 2,
              divisors->shape);
  std::vector<float> values(static_cast<size_t>(out.head_dim / 2));
  io::dequantize(divisors->type, divisors->bytes, values, where);
  for (const float value : values) {
    MOREX_CHECK(std::isfinite(value) && value > 0.0f, ErrorKind::kFormat,
                "[{}] tensor {} must hold positive numbers, got {}", where, kGgufRopeDivisors, value);
  }
  out.rope_scaling.frequency_divisors.assign(values.begin(), values.end());
}

// What a config.json of the same model says. Divisors of the rotary frequencies have no key there.
Json as_config_json(const ModelConfig& config) {
  Json json = {{"architectures", {"LlamaForCausalLM"}},
               {"model_type", config.model_type},
               {"hidden_size", config.hidden_size},
               {"intermediate_size", config.intermediate_size},
               {"num_hidden_layers", config.num_hidden_layers},
               {"num_attention_heads", config.num_attention_heads},
               {"num_key_value_heads", config.num_key_value_heads},
               {"head_dim", config.head_dim},
               {"vocab_size", config.vocab_size},
               {"max_position_embeddings", config.max_position_embeddings},
               {"rms_norm_eps", config.rms_norm_eps},
               {"rope_theta", config.rope_theta},
               {"rope_scaling", nullptr},
               {"hidden_act", "silu"},
               {"attention_bias", config.attention_bias},
               {"mlp_bias", config.mlp_bias},
               {"tie_word_embeddings", config.tie_word_embeddings}};
  if (config.rope_scaling.type == "linear") {
    json["rope_scaling"] = {{"rope_type", "linear"}, {"factor", config.rope_scaling.factor}};
  }
  if (!config.eos_token_ids.empty()) json["eos_token_id"] = config.eos_token_ids.front();
  if (config.bos_token_id >= 0) json["bos_token_id"] = config.bos_token_id;
  if (config.pad_token_id >= 0) json["pad_token_id"] = config.pad_token_id;
  return json;
}

}  // namespace

ModelConfig read_gguf_config(const io::GgufFile& file, Warnings& warnings) {
  const std::string where = file.path().string();
  const std::string architecture = file.get_string("general.architecture");
  ModelConfig out;
  out.model_type = family_of_gguf(architecture, where).model_type;
  const Metadata metadata(file, architecture + ".");
  for (const char* key : {"expert_count", "logit_scale", "residual_scale", "embedding_scale", "attention.scale",
                          "attention.sliding_window", "attn_logit_softcapping", "final_logit_softcapping"}) {
    metadata.refuse_unless(key, 0.0);
  }
  metadata.refuse_unless("rope.scale_linear", 1.0);
  metadata.refuse_unless("rope.scaling.attn_factor", 1.0);

  out.hidden_size = metadata.size("embedding_length");
  out.intermediate_size = metadata.size("feed_forward_length");
  out.max_position_embeddings = metadata.size_or("context_length", 2048);
  read_heads(file, metadata, out);
  out.num_hidden_layers = read_layers(file, metadata);
  out.rms_norm_eps = file.get_float(metadata.key("attention.layer_norm_rms_epsilon"));
  read_rope(file, metadata, out);

  const io::GgufTensor* embedding = file.find("token_embd.weight");
  MOREX_CHECK(embedding != nullptr && embedding->shape.size() == 2, ErrorKind::kFormat,
              "[{}] must hold tensor token_embd.weight of two dimensions", where);
  out.vocab_size = metadata.size_or("vocab_size", embedding->shape[0]);
  out.tie_word_embeddings = file.find("output.weight") == nullptr;  // no metadata key says so
  out.attention_bias = file.find("blk.0.attn_q.bias") != nullptr;
  out.mlp_bias = file.find("blk.0.ffn_up.bias") != nullptr;
  out.stored_dtype = "gguf";

  const auto token = [&](const char* key) { return file.get_int_or(std::string("tokenizer.ggml.") + key, -1); };
  for (const char* key : {"eos_token_id", "eot_token_id"}) {
    if (const int64_t id = token(key); id >= 0 && id < out.vocab_size) out.eos_token_ids.push_back(id);
  }
  out.bos_token_id = token("bos_token_id");
  out.pad_token_id = token("padding_token_id");
  if (out.pad_token_id >= out.vocab_size) {
    warnings.add("gguf.padding_token_id", fmt::format("[{}] padding_token_id {} is outside the vocabulary of {}", where,
                                                      out.pad_token_id, out.vocab_size));
    out.pad_token_id = -1;
  }
  out.source = as_config_json(out);
  return out;
}

}  // namespace morex::models
