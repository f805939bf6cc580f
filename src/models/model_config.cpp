#include "models/model_config.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

#include "base/files.h"
#include "models/families.h"
#include "models/rope_config.h"

namespace morex::models {
namespace {

// Far above any model; keeps every product of two sizes inside 64 bits.
constexpr int64_t kLargestSize = int64_t{1} << 28;
constexpr int64_t kMostLayers = 10000;

// Keys that are read here, or that say nothing about the arithmetic of a forward pass.
constexpr auto kKnownKeys = std::to_array<std::string_view>({
    "model_type",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "vocab_size",
    "max_position_embeddings",
    "rms_norm_eps",
    "rope_theta",
    "rope_scaling",
    "rope_parameters",
    "hidden_act",
    "attention_bias",
    "mlp_bias",
    "tie_word_embeddings",
    "eos_token_id",
    "bos_token_id",
    "pad_token_id",
    "dtype",
    "torch_dtype",
    "attention_dropout",
    "quantization_config",
    // Records and switches of training and serving.
    "architectures",
    "transformers_version",
    "use_cache",
    "initializer_range",
    "pretraining_tp",
    "_name_or_path",
    "name_or_path",
    "auto_map",
    "task_specific_params",
    "id2label",
    "label2id",
    "problem_type",
    "return_dict",
    "output_hidden_states",
    "output_attentions",
    "torchscript",
    "use_bfloat16",
    "pruned_heads",
    "is_decoder",
    "is_encoder_decoder",
    "add_cross_attention",
    "cross_attention_hidden_size",
    "chunk_size_feed_forward",
    "decoder_start_token_id",
    "sep_token_id",
    "unk_token_id",
    "prefix",
    "finetuning_task",
    "tie_encoder_decoder",
    "tokenizer_class",
    "temperature",
    "top_k",
    "top_p",
    "typical_p",
    "repetition_penalty",
    "length_penalty",
    "num_beams",
    "num_beam_groups",
    "max_length",
    "min_length",
    "do_sample",
    "early_stopping",
    "diversity_penalty",
    "no_repeat_ngram_size",
    "encoder_no_repeat_ngram_size",
    "bad_words_ids",
    "num_return_sequences",
    "exponential_decay_length_penalty",
    "suppress_tokens",
    "begin_suppress_tokens",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "remove_invalid_values",
    "output_scores",
    "return_dict_in_generate",
    "_attn_implementation",
    "_attn_implementation_autoset",
    "attn_implementation",
    "use_flash_attn",
    "gradient_checkpointing",
    "unsloth_version",
    "unsloth_fixed",
    "is_llama_config",
    "transformers.js_config",
});

// Settings of other architectures that change the arithmetic, with the value that changes nothing.
struct Neutral {
  std::string_view key;
  double value;  // numbers equal to it are harmless; null, false, 0 for a count and empty values always are
};
constexpr auto kForeignArithmetic = std::to_array<Neutral>({
    {"partial_rotary_factor", 1.0},
    {"rotary_pct", 1.0},
    {"rotary_dim", 0.0},
    {"rope_interleaved", 0.0},
    {"rope_local_base_freq", 0.0},
    {"no_rope_layers", 0.0},
    {"no_rope_layer_interval", 0.0},
    {"alibi", 0.0},
    {"embedding_multiplier", 1.0},
    {"residual_multiplier", 1.0},
    {"attention_multiplier", 0.0},
    {"logits_scaling", 1.0},
    {"logit_scale", 1.0},
    {"scale_emb", 1.0},
    {"scale_depth", 0.0},
    {"dim_model_base", 0.0},
    {"final_logit_softcapping", 0.0},
    {"attn_logit_softcapping", 0.0},
    {"query_pre_attn_scalar", 0.0},
    {"num_local_experts", 0.0},
    {"num_experts", 0.0},
    {"n_routed_experts", 0.0},
    {"moe_intermediate_size", 0.0},
    {"qk_layernorm", 0.0},
    {"use_qk_norm", 0.0},
    {"clip_qkv", 0.0},
    {"parallel_attn", 0.0},
    {"use_parallel_residual", 0.0},
    {"kv_lora_rank", 0.0},
    {"q_lora_rank", 0.0},
    {"attention_chunk_size", 0.0},
    {"compression_config", 0.0},
    {"dual_chunk_attention_config", 0.0},
});

bool is_neutral(const Json& value, double neutral) {
  if (value.is_number()) return value.get<double>() == neutral;
  return value.is_null() || value == Json(false) || ((value.is_object() || value.is_array()) && value.empty());
}

void check_keys(const JsonReader& config, Warnings& warnings) {
  for (const auto& [key, value] : config.object().items()) {
    for (const Neutral& foreign : kForeignArithmetic) {
      MOREX_CHECK(key != foreign.key || is_neutral(value, foreign.value), ErrorKind::kFormat,
                  "[{}] {} = {} changes the arithmetic in a way this architecture does not have here", config.where(),
                  key, value.dump());
    }
    const bool known = std::find(kKnownKeys.begin(), kKnownKeys.end(), key) != kKnownKeys.end() ||
                       std::any_of(kForeignArithmetic.begin(), kForeignArithmetic.end(),
                                   [&key = key](const Neutral& foreign) { return key == foreign.key; });
    if (!known && !is_neutral(value, 0.0)) {
      warnings.add("config.unknown_key." + key, fmt::format("[{}] unknown key '{}' is ignored", config.where(), key));
    }
  }
}

// The last of two equal keys would win without a word.
void refuse_duplicate_keys(const std::string& text, const std::string& where) {
  std::vector<std::set<std::string>> open;
  [[maybe_unused]] const Json parsed_again = Json::parse(text, [&](int, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::object_start) open.emplace_back();
    if (event == Json::parse_event_t::object_end) open.pop_back();
    if (event == Json::parse_event_t::key && !open.back().insert(parsed.get<std::string>()).second) {
      fail(ErrorKind::kFormat, "[{}] key {} must appear once, got it twice", where, parsed.get<std::string>());
    }
    return true;
  });
}

int64_t size(const JsonReader& config, const char* key, int64_t largest, std::optional<int64_t> fallback = {}) {
  const int64_t value = fallback ? config.get_or<int64_t>(key, *fallback) : config.get<int64_t>(key);
  MOREX_CHECK(value >= 1 && value <= largest, ErrorKind::kFormat, "[{}] {} must be between 1 and {}, got {}",
              config.where(), key, largest, value);
  return value;
}

nn::Activation read_activation(const JsonReader& config) {
  struct Name {
    std::string_view name;
    nn::Activation activation;
  };
  constexpr auto kNames = std::to_array<Name>({{"silu", nn::Activation::kSilu},
                                               {"swish", nn::Activation::kSilu},
                                               {"gelu", nn::Activation::kGelu},
                                               {"gelu_new", nn::Activation::kGeluTanh},
                                               {"gelu_fast", nn::Activation::kGeluTanh},
                                               {"gelu_pytorch_tanh", nn::Activation::kGeluTanh},
                                               {"relu", nn::Activation::kRelu}});
  const std::string name = config.get_or<std::string>("hidden_act", "silu");
  for (const Name& known : kNames) {
    if (known.name == name) return known.activation;
  }
  fail(ErrorKind::kFormat,
       "[{}] hidden_act must be silu, swish, gelu, gelu_new, gelu_fast, gelu_pytorch_tanh or relu, got '{}'",
       config.where(), name);
}

// "torch_dtype" until transformers 4.55, "dtype" since.
std::string read_stored_dtype(const JsonReader& config) {
  const auto now = config.find<std::string>("dtype"), before = config.find<std::string>("torch_dtype");
  MOREX_CHECK(!now || !before || *now == *before, ErrorKind::kFormat,
              "[{}] dtype and torch_dtype must agree, got {} and {}", config.where(), *now, *before);
  return now ? *now : before.value_or("");
}

std::vector<int64_t> read_ids(const JsonReader& object, const char* key) {
  if (!object.has(key)) return {};
  if (object.raw(key).is_array()) return object.get<std::vector<int64_t>>(key);
  return {object.get<int64_t>(key)};
}

// One id or -1; generation_config.json's list form ("bos_token_id": [1]) does not exist in config.json.
int64_t read_id(const JsonReader& config, const char* key) { return config.get_or<int64_t>(key, -1); }

void read_heads(const JsonReader& config, ModelConfig& out) {
  out.num_attention_heads = size(config, "num_attention_heads", kLargestSize);
  out.num_key_value_heads = size(config, "num_key_value_heads", kLargestSize, out.num_attention_heads);
  MOREX_CHECK(out.num_attention_heads % out.num_key_value_heads == 0, ErrorKind::kFormat,
              "[{}] num_attention_heads must be a multiple of num_key_value_heads, got {} and {}", config.where(),
              out.num_attention_heads, out.num_key_value_heads);
  if (config.has("head_dim")) {
    out.head_dim = size(config, "head_dim", kLargestSize);
  } else {
    MOREX_CHECK(out.hidden_size % out.num_attention_heads == 0, ErrorKind::kFormat,
                "[{}] hidden_size must be a multiple of num_attention_heads when head_dim is absent, got {} and {}",
                config.where(), out.hidden_size, out.num_attention_heads);
    out.head_dim = out.hidden_size / out.num_attention_heads;
  }
  MOREX_CHECK(out.head_dim % 2 == 0, ErrorKind::kFormat, "[{}] head_dim must be even for rotary positions, got {}",
              config.where(), out.head_dim);
}

void read_token_ids(const JsonReader& config, const std::filesystem::path& folder, ModelConfig& out,
                    Warnings& warnings) {
  out.eos_token_ids = read_ids(config, "eos_token_id");
  out.bos_token_id = read_id(config, "bos_token_id");
  out.pad_token_id = read_id(config, "pad_token_id");
  const std::filesystem::path generation = folder / "generation_config.json";
  if (std::filesystem::exists(generation)) {
    const Json json = read_json_file(generation);
    const JsonReader reader(json, generation.string());
    if (reader.has("eos_token_id")) out.eos_token_ids = read_ids(reader, "eos_token_id");
  }
  MOREX_CHECK(out.pad_token_id < out.vocab_size, ErrorKind::kFormat,
              "[{}] pad_token_id must be below vocab_size {}, got {}", config.where(), out.vocab_size,
              out.pad_token_id);
  for (const int64_t id : out.eos_token_ids) {
    if (id < 0 || id >= out.vocab_size) {
      warnings.add("config.eos_token_id", fmt::format("[{}] eos_token_id {} is outside the vocabulary of {}",
                                                      config.where(), id, out.vocab_size));
    }
  }
}

}  // namespace

ModelConfig read_model_config(const std::filesystem::path& config_json, Warnings& warnings) {
  const std::string where = config_json.string();
  const std::string text = read_text_file(config_json);
  ModelConfig out;
  out.source = parse_json(text, where);
  refuse_duplicate_keys(text, where);
  const JsonReader config(out.source, where);

  out.model_type = config.get<std::string>("model_type");
  (void)family_of_model_type(out.model_type, where);
  MOREX_CHECK(!config.has("quantization_config"), ErrorKind::kFormat,
              "[{}] quantization_config must be absent: packed weights are not supported. Hint: use the unquantised "
              "model, or a GGUF file",
              where);
  check_keys(config, warnings);

  out.hidden_size = size(config, "hidden_size", kLargestSize);
  out.intermediate_size = size(config, "intermediate_size", kLargestSize);
  out.num_hidden_layers = size(config, "num_hidden_layers", kMostLayers);
  out.vocab_size = size(config, "vocab_size", kLargestSize);
  out.max_position_embeddings = size(config, "max_position_embeddings", int64_t{1} << 40, 2048);
  read_heads(config, out);
  out.rms_norm_eps = config.get_or<double>("rms_norm_eps", 1e-6);
  MOREX_CHECK(out.rms_norm_eps >= 0.0, ErrorKind::kFormat, "[{}] rms_norm_eps must not be negative, got {}", where,
              out.rms_norm_eps);
  read_rope(config, out, warnings);
  out.hidden_act = read_activation(config);
  out.attention_bias = config.get_or<bool>("attention_bias", false);
  out.mlp_bias = config.get_or<bool>("mlp_bias", false);
  out.tie_word_embeddings = config.get_or<bool>("tie_word_embeddings", false);
  out.stored_dtype = read_stored_dtype(config);
  if (config.get_or<double>("attention_dropout", 0.0) != 0.0) {
    warnings.add("config.attention_dropout", fmt::format("[{}] attention_dropout is not applied", where));
  }
  read_token_ids(config, config_json.parent_path(), out, warnings);
  return out;
}

}  // namespace morex::models
