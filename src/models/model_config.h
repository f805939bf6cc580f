// A model's config.json, or a GGUF's metadata, as one struct.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/warnings.h"
#include "nn/slots.h"

namespace morex::io {
class GgufFile;
}

namespace morex::models {

struct RopeScaling {
  std::string type = "default";  // default, linear, dynamic, llama3, yarn (longrope … with their families)
  double factor = 1.0;
  double low_freq_factor = 1.0, high_freq_factor = 4.0;              // llama3
  int64_t original_max_position_embeddings = 0;                      // 0: max_position_embeddings
  double attention_factor = 0.0, beta_fast = 32.0, beta_slow = 1.0;  // yarn; attention_factor 0: computed
  double mscale = 0.0, mscale_all_dim = 0.0;
  bool truncate = true;
  std::vector<double> frequency_divisors;  // GGUF rope_freqs.weight [head_dim / 2]
};

struct ModelConfig {
  std::string model_type;  // "llama"
  int64_t hidden_size = 0, intermediate_size = 0, num_hidden_layers = 0;
  int64_t num_attention_heads = 0, num_key_value_heads = 0, head_dim = 0;
  int64_t vocab_size = 0, max_position_embeddings = 0;
  double rms_norm_eps = 1e-6, rope_theta = 10000.0;
  RopeScaling rope_scaling;
  nn::Activation hidden_act = nn::Activation::kSilu;
  bool attention_bias = false, mlp_bias = false, tie_word_embeddings = false;
  std::vector<int64_t> eos_token_ids;  // config.json or generation_config.json
  int64_t bos_token_id = -1, pad_token_id = -1;
  std::string stored_dtype;  // "float32", "bfloat16" …
  Json source;               // config.json as read (merging writes it back)
};

// Throws Error(kFormat) naming the file and the key: a missing, mistyped, contradictory or unsupported setting. A key
// that changes the arithmetic and is not known is refused.
ModelConfig read_model_config(const std::filesystem::path& config_json, Warnings& warnings);
ModelConfig read_gguf_config(const io::GgufFile& file, Warnings& warnings);

}  // namespace morex::models
