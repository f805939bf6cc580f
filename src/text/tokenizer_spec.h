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

// Adds the merge `left` + `right` of rank `number`. Throws Error(kFormat) "merge NUMBER …" when one of the two, or what
// they become, is no token.
void add_merge(TokenizerSpec& spec, std::string_view left, std::string_view right, int32_t number, bool keep_first);
// Splits "left right" at its only space and adds it. Throws the same when there is not exactly one space.
void add_merge_line(TokenizerSpec& spec, std::string_view line, int32_t number, bool keep_first);

}  // namespace morex::text
