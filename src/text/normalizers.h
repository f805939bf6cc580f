// What a tokenizer does to the text before it is cut into words.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "base/json.h"
#include "text/aligned_text.h"

namespace morex::text {

class Normalizer {
 public:
  virtual ~Normalizer() = default;
  // Whether `valid_text` may come out different.
  virtual bool may_change(std::string_view valid_text) const = 0;
  virtual AlignedText apply(AlignedText text, bool tracked) const = 0;
};

// From the `normalizer` object of a tokenizer.json; null gives null. Known: Sequence, Prepend, Replace, NFC, NFD, NFKC,
// NFKD, BertNormalizer. Throws Error(kFormat) with the type's name for another.
std::unique_ptr<const Normalizer> make_normalizer(const Json& spec, const std::string& where);

// The text a normalizer (may be null) makes of `text`.
std::string normalized(const Normalizer* normalizer, const std::string& text);

}  // namespace morex::text
