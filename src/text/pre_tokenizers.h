// Cuts a text into words, stage after stage; each stage sees the pieces of the stage before it.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "text/aligned_text.h"
#include "text/regex.h"

namespace morex::text {

// A text and the pieces it is in. The text is somebody else's until a stage has to change it.
struct Pieces {
  std::string_view text;
  const CharacterRange* origin = nullptr;  // per byte of `text`; null when nobody asked for offsets
  std::vector<ByteRange> pieces;
  bool at_start = false;  // the text begins where the original begins
  AlignedText own;        // the text after a stage changed it

  std::string_view piece(const ByteRange& range) const { return text.substr(range.begin, range.end - range.begin); }
  void adopt(AlignedText changed) {
    own = std::move(changed);
    text = own.text;
    if (origin != nullptr) origin = own.origin.data();
  }
};

class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  virtual void apply(Pieces& pieces) const = 0;
};

struct PreTokenizers {
  std::vector<std::unique_ptr<const PreTokenizer>> stages;
  // The last stage spells bytes in GPT-2's alphabet. It is left out here: the model takes the bytes as they are.
  bool byte_level = false;
};

// From the `pre_tokenizer` object of a tokenizer.json; null gives no stages. Known: Sequence, Split, ByteLevel, Digits,
// Metaspace, Punctuation, Whitespace, WhitespaceSplit, CharDelimiterSplit, BertPreTokenizer. Throws Error(kFormat)
// naming another type.
PreTokenizers make_pre_tokenizers(const Json& spec, const std::string& where);

}  // namespace morex::text
