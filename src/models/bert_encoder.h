// BERT: an encoder whose tokens all see each other. Source: Devlin et al. 2019 (arXiv 1810.04805); names and options as
// in Hugging Face's BertModel. It carries no adapter and is not trained, so it has no slots.
#pragma once
#include <ATen/core/Tensor.h>

#include <filesystem>
#include <string>
#include <vector>

#include "base/warnings.h"
#include "models/bert_config.h"

namespace morex::models {

class BertEncoder {
 public:
  // A Hugging Face folder: config.json and model.safetensors (or its shards), held in float32 on the CPU. Throws
  // Error(kFormat) naming the file and the tensor; tensors that nobody asks for are a warning (the pooler is known).
  static BertEncoder load(const std::filesystem::path& folder, Warnings& warnings);

  // ids of one text [L], special tokens included, all of segment 0 -> last hidden states [L, D] float32. One text at a
  // time, so that no padding has to be masked and a vector does not depend on its neighbours. No gradients. Throws
  // Error(kData) for more ids than positions or an id outside the vocabulary.
  at::Tensor hidden(const std::vector<int64_t>& ids) const;

  const BertConfig& config() const { return config_; }
  const std::string& digest() const { return digest_; }  // of the tensors (weight_digest.h)

 private:
  struct Linear {
    at::Tensor weight, bias;  // [out, in], [out]
  };
  struct Norm {
    at::Tensor weight, bias;  // [D]
  };
  struct Layer {
    Linear query, key, value, attention_out, up, down;
    Norm attention_norm, norm;
  };

  explicit BertEncoder(BertConfig config) : config_(config) {}
  static at::Tensor apply(const Linear& linear, const at::Tensor& x);
  at::Tensor normalise(const Norm& norm, const at::Tensor& x) const;
  at::Tensor attend(const Layer& layer, const at::Tensor& x) const;

  BertConfig config_;
  at::Tensor words_, positions_, types_;  // [V, D], [P, D], [S, D]
  Norm embedding_norm_;
  std::vector<Layer> layers_;
  std::string digest_;
};

}  // namespace morex::models
