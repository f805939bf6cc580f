// A text that is being changed on its way to the model, and where each byte of it came from.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace morex::text {

// Code points [begin, end) of the original text.
struct CharacterRange {
  uint32_t begin = 0;
  uint32_t end = 0;
};

struct AlignedText {
  std::string text;
  std::vector<CharacterRange> origin;  // one per byte of `text`; empty when nobody asked for offsets

  void append(std::string_view part, CharacterRange from, bool tracked) {
    text.append(part);
    if (tracked) origin.insert(origin.end(), part.size(), from);
  }
};

// `valid_text` as it is, its first character being number `first_character` of the original.
AlignedText align(std::string_view valid_text, uint32_t first_character, bool tracked);

}  // namespace morex::text
