// Byte-pair encoding: a word starts as its characters (or bytes); the neighbours with the earliest merge become one,
// the leftmost first, until no two neighbours have a merge.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "text/merge_table.h"
#include "text/model.h"
#include "text/vocabulary.h"

namespace morex::text {

struct BpeOptions {
  bool byte_level = false;     // words are raw bytes, tokens are spelled in the byte alphabet
  bool ignore_merges = false;  // a word that is a token needs no merges
  bool byte_fallback = false;  // a character without a token becomes <0xXX> tokens, if all of them exist
  bool fuse_unk = false;       // unknown characters side by side are one unknown token
  std::optional<int32_t> unk;  // what becomes of other unknown characters; nothing: they are dropped
};

class Bpe : public Model {
 public:
  // `vocabulary` must outlive this.
  Bpe(const Vocabulary& vocabulary, MergeTable merges, const BpeOptions& options);

  std::unique_ptr<ModelScratch> make_scratch() const override;
  void encode(std::string_view word, ModelScratch& scratch, std::vector<int64_t>& ids,
              std::vector<ByteRange>* ranges) const override;
  std::string rules() const override;

 private:
  struct Symbol {
    int32_t id;
    uint32_t begin, end;  // bytes of the word
    int32_t previous, next;
    Merge merge;  // with the next one
  };
  struct Scratch;

  void split_bytes(std::string_view word, std::vector<Symbol>& symbols) const;
  void split_characters(std::string_view word, std::vector<Symbol>& symbols) const;
  void merge_short(std::vector<Symbol>& symbols) const;
  void merge_long(Scratch& scratch) const;

  const Vocabulary& vocabulary_;
  MergeTable merges_;
  BpeOptions options_;
  std::array<int32_t, 256> byte_id_;  // of each byte's own token: letter (byte_level) or <0xXX>
  Vocabulary words_;                  // tokens as bytes, for ignore_merges with byte_level
};

}  // namespace morex::text
