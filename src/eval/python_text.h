// What Python's str does with blanks and lengths.
#pragma once
#include <cstdint>
#include <string_view>

namespace morex::eval {

// Text (UTF-8) without the characters at its end, or at both ends, for which str.isspace() holds.
std::string_view python_rstrip(std::string_view text);
std::string_view python_strip(std::string_view text);
// Unicode code points of UTF-8 text.
int64_t character_count(std::string_view text);

}  // namespace morex::eval
