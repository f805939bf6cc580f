// Everything a tokenizer is made of, whichever file it came from.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/merge_table.h"
#include "text/tokenizer.h"
#include "text/vocabulary.h"
#include "text/word_piece.h"

namespace morex::text {

struct TokenizerSpec {
  std::string where;  // the file, for errors
  Vocabulary vocabulary;
  MergeTable merges;
  BpeOptions bpe;                              // byte_level follows from pre_tokenizer
  std::optional<WordPieceOptions> word_piece;  // in place of merges and bpe
  // As in a tokenizer.json; null where there is none.
  Json normalizer, pre_tokenizer, post_processor, decoder;
  std::vector<AddedToken> added_tokens;
  SpecialTokens special_tokens;
  std::string chat_template;
};

// Throws Error(kFormat) for a part that is not understood.
std::shared_ptr<const Tokenizer> make_tokenizer(TokenizerSpec spec);

// Reads the merges of a tokenizer one after another, of rank 0, 1, …
class MergeReader {
 public:
  // The first entry of a pair stays when `keep_first`; else the last one does.
  MergeReader(TokenizerSpec& spec, size_t expected, bool keep_first);

  // `left` + `right`. Throws Error(kFormat) "merge NUMBER …" when one of the two, or what they become, is no token.
  void add(std::string_view left, std::string_view right);
  // Splits "left right" at its only space and adds it. Throws the same when there is not exactly one space.
  void add_line(std::string_view line);
  // Puts them into the spec.
  void finish();

 private:
  TokenizerSpec& spec_;
  std::vector<MergeTable::Entry> entries_;
  bool keep_first_;
};

}  // namespace morex::text
