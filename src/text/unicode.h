// Classes of characters, and Unicode normal forms.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace morex::text {

bool is_white_space(char32_t code);  // the property White_Space
bool is_number(char32_t code);       // any category N*
bool is_punctuation(char32_t code);  // any category P*, and all ASCII punctuation
bool is_word(char32_t code);         // a letter, mark, digit or connector: a regular expression's \w
bool is_printable(char32_t code);    // Python's str.isprintable: no control, format, unassigned or space but ' '
bool is_letter(char32_t code);       // any category L*
bool is_control(char32_t code);      // category Cc, Cf or Co
bool is_nonspacing_mark(char32_t code);
char32_t to_lower(char32_t code);  // the simple mapping, one character to one

enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };

// One character of a normalised text. `change` says how it came about: 0 replaces one character, +1 was inserted after
// the character before it, -n replaces one character and swallows n more.
struct NormalizedCharacter {
  char32_t code;
  int32_t change;
};

// Whether `text` is certainly in the form already (false: it may or may not be).
bool is_surely_normal(std::string_view valid_text, NormalForm form);
std::vector<NormalizedCharacter> normalize(std::u32string_view text, NormalForm form);

}  // namespace morex::text
