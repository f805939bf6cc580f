// Checks of text that comes from files, and its harmless form for messages.
#pragma once
#include <string>
#include <string_view>

namespace morex::io {

// Well-formed UTF-8: shortest forms only, no surrogates, nothing above U+10FFFF.
bool is_utf8(std::string_view text);

// `text` for a message: at most about 120 bytes, on one line, bytes that are no UTF-8 and control characters as '?'.
std::string printable(std::string_view text);

}  // namespace morex::io
