// The config.json of a BERT encoder.
#pragma once
#include <cstdint>
#include <filesystem>

namespace morex::models {

struct BertConfig {
  int64_t hidden_size = 0, intermediate_size = 0, num_hidden_layers = 0, num_attention_heads = 0;
  int64_t vocab_size = 0, max_position_embeddings = 0, type_vocab_size = 0;
  double layer_norm_eps = 1e-12;
};

// Throws Error(kFormat) naming the file and the key: a missing or impossible setting, or one that is not built (another
// model_type, an activation other than gelu, positions other than absolute ones, a decoder).
BertConfig read_bert_config(const std::filesystem::path& config_json);

}  // namespace morex::models
