// From tokens back to text.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace morex::text {

// One step over the list of tokens; the text is what is left of them, side by side.
class Decoder {
 public:
  virtual ~Decoder() = default;
  virtual void apply(std::vector<std::string>& tokens) const = 0;
};

// From the `decoder` object of a tokenizer.json; null joins the tokens with spaces. Known: Sequence, ByteLevel,
// Replace, ByteFallback, Fuse, Strip, Metaspace, WordPiece. Throws Error(kFormat) naming another type.
std::unique_ptr<const Decoder> make_decoder(const Json& spec, const std::string& where);

// The byte that a token `<0xXX>` stands for, -1 for any other token.
int byte_of_token(std::string_view token);

}  // namespace morex::text
