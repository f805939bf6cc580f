// The tokenizer: added tokens, normalizer, pre-tokenizer, model, post-processor, decoder, one after another.
#pragma once
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "text/decoders.h"
#include "text/normalizers.h"
#include "text/post_processor.h"
#include "text/pre_tokenizers.h"
#include "text/tokenizer_spec.h"

namespace morex::text {

class PipelineTokenizer : public Tokenizer {
 public:
  explicit PipelineTokenizer(TokenizerSpec spec);

  std::vector<int64_t> encode(std::string_view text, bool add_special_tokens) const override;
  std::vector<int64_t> encode_within(std::string_view text, int64_t limit) const override;
  Encoding encode_with_offsets(std::string_view text) const override;
  PairEncoding encode_pair(std::string_view a, std::string_view b) const override;
  std::string decode(std::span<const int64_t> ids, bool skip_special_tokens) const override;

  std::optional<int64_t> token_to_id(std::string_view token) const override;
  std::string id_to_token(int64_t id) const override;
  bool is_special(int64_t id) const override;
  int64_t vocab_size() const override { return vocab_size_; }
  const SpecialTokens& special_tokens() const override { return spec_.special_tokens; }
  const std::string& chat_template() const override { return spec_.chat_template; }
  const std::string& digest() const override;

 private:
  struct Scratch;
  class Lease;

  void encode_into(std::string_view text, std::vector<int64_t>& ids, Encoding* offsets) const;
  void encode_segment(std::string_view segment, uint32_t first_character, Scratch& scratch, std::vector<int64_t>& ids,
                      Encoding* offsets) const;
  void trim(Encoding& encoding) const;
  std::string compute_digest() const;

  TokenizerSpec spec_;
  AddedTokens added_;
  std::unique_ptr<const Normalizer> normalizer_;
  PreTokenizers pre_tokenizers_;
  std::unique_ptr<const Model> model_;
  PostProcessor post_processor_;
  std::unique_ptr<const Decoder> decoder_;
  int64_t vocab_size_ = 0;

  mutable std::once_flag digest_once_;
  mutable std::string digest_;
  mutable std::mutex free_mutex_;
  mutable std::vector<std::unique_ptr<Scratch>> free_;  // working memory not in use
};

}  // namespace morex::text
