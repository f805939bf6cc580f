#include "models/bert_config.h"

#include "base/json.h"

namespace morex::models {
namespace {

// Far above any encoder; keeps every product of two sizes inside 64 bits.
constexpr int64_t kLargestSize = int64_t{1} << 24;

int64_t size(const JsonReader& config, const char* key) {
  const auto value = config.get<int64_t>(key);
  MOREX_CHECK(value >= 1 && value <= kLargestSize, ErrorKind::kFormat, "[{}] {} must be between 1 and {}, got {}",
              config.where(), key, kLargestSize, value);
  return value;
}

void expect(const JsonReader& config, const char* key, const std::string& wanted, const std::string& got) {
  MOREX_CHECK(got == wanted, ErrorKind::kFormat, "[{}] {} must be {} for a sentence encoder, got '{}'", config.where(),
              key, wanted, got);
}

}  // namespace

BertConfig read_bert_config(const std::filesystem::path& config_json) {
  const Json json = read_json_file(config_json);
  const JsonReader config(json, config_json.string());
  expect(config, "model_type", "bert", config.get<std::string>("model_type"));
  expect(config, "hidden_act", "gelu", config.get_or<std::string>("hidden_act", "gelu"));
  expect(config, "position_embedding_type", "absolute",
         config.get_or<std::string>("position_embedding_type", "absolute"));
  MOREX_CHECK(!config.get_or<bool>("is_decoder", false), ErrorKind::kFormat,
              "[{}] is_decoder must be false for a sentence encoder", config.where());
  BertConfig out;
  out.hidden_size = size(config, "hidden_size");
  out.intermediate_size = size(config, "intermediate_size");
  out.num_hidden_layers = size(config, "num_hidden_layers");
  out.num_attention_heads = size(config, "num_attention_heads");
  out.vocab_size = size(config, "vocab_size");
  out.max_position_embeddings = size(config, "max_position_embeddings");
  out.type_vocab_size = size(config, "type_vocab_size");
  out.layer_norm_eps = config.get_or<double>("layer_norm_eps", out.layer_norm_eps);
  MOREX_CHECK(out.layer_norm_eps > 0.0, ErrorKind::kFormat, "[{}] layer_norm_eps must be positive, got {}",
              config.where(), out.layer_norm_eps);
  MOREX_CHECK(out.hidden_size % out.num_attention_heads == 0, ErrorKind::kFormat,
              "[{}] hidden_size must be a multiple of num_attention_heads, got {} and {}", config.where(),
              out.hidden_size, out.num_attention_heads);
  return out;
}

}  // namespace morex::models
