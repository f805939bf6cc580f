// A sentence encoder as sentence-transformers stores it: a BERT with its WordPiece tokenizer, then pooling over the
// tokens. Source: Reimers and Gurevych 2019 (arXiv 1908.10084).
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "base/warnings.h"
#include "eval/embedder.h"
#include "models/bert_encoder.h"
#include "text/tokenizer.h"

namespace morex::eval {

enum class Pooling { kMean, kFirstToken };

class SentenceEncoder : public Embedder {
 public:
  // The folder holds config.json, model.safetensors and tokenizer.json; modules.json, sentence_bert_config.json
  // (max_seq_length, without it tokenizer_config.json) and the pooling module's config.json say how tokens become one
  // vector, without them it is the mean. Throws Error(kFormat) naming the file: damaged, of another kind, or with a
  // module or a pooling that is not built.
  static std::unique_ptr<SentenceEncoder> load(const std::filesystem::path& folder, Warnings& warnings);

  // [D] float64 on the CPU: computed in float32, pooled and given length 1 in float64. DEVIATION: length 1 without a
  // Normalize module too. A text longer than max_seq_length counts with its beginning. Error against the reference in
  // float32: 1e-6. Throws Error(kNumeric) for a hidden state that is not finite.
  at::Tensor embed_text(const std::string& text) const;

  const EmbedderIdentity& identity() const override { return identity_; }
  std::string key(const nn::Prompt& prompt) const override { return prompt.facts.question; }
  // Of the prompt's question: the encoder knows nothing of the model's template.
  at::Tensor embed(const nn::Prompt& prompt) const override { return embed_text(prompt.facts.question); }

  int64_t max_seq_length() const { return max_seq_length_; }
  const text::Tokenizer& tokenizer() const { return *tokenizer_; }

 private:
  SentenceEncoder(models::BertEncoder model, std::shared_ptr<const text::Tokenizer> tokenizer)
      : model_(std::move(model)), tokenizer_(std::move(tokenizer)) {}

  models::BertEncoder model_;
  std::shared_ptr<const text::Tokenizer> tokenizer_;
  Pooling pooling_ = Pooling::kMean;
  int64_t max_seq_length_ = 0;
  EmbedderIdentity identity_;
};

}  // namespace morex::eval
