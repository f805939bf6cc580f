// WordPiece: a word is cut from the left, each time at the longest token that fits; tokens inside a word carry a
// prefix ("##"). Source: Wu et al. 2016 (arXiv 1609.08144) as in BERT's tokenizer.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "text/model.h"
#include "text/vocabulary.h"

namespace morex::text {

struct WordPieceOptions {
  std::string prefix = "##";   // of tokens that go on a word
  int32_t unk = 0;             // what becomes of a word that cannot be cut into tokens
  int64_t longest_word = 100;  // in characters; a longer word is unknown
};

class WordPiece : public Model {
 public:
  // `vocabulary` must outlive this.
  WordPiece(const Vocabulary& vocabulary, WordPieceOptions options);

  std::unique_ptr<ModelScratch> make_scratch() const override;
  void encode(std::string_view word, ModelScratch& scratch, std::vector<int64_t>& ids,
              std::vector<ByteRange>* ranges) const override;
  std::string rules() const override;

 private:
  const Vocabulary& vocabulary_;
  WordPieceOptions options_;
  size_t longest_token_ = 0;  // bytes
};

}  // namespace morex::text
