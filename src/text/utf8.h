// UTF-8: decoding, encoding, counting, and the replacement of invalid bytes.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace morex::text {

// One decoded character. An invalid sequence has valid false, code U+FFFD and the length of its longest prefix that
// could have become a character (at least 1), as Unicode's replacement practice and Python's reader have it.
struct CodePoint {
  char32_t code = 0;
  uint32_t length = 0;  // bytes
  bool valid = true;
};
CodePoint decode_code_point(std::string_view text, size_t position);

// The length of the character that starts with `lead`, in text known to be valid.
inline uint32_t utf8_length(unsigned char lead) { return lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4; }
inline bool is_continuation(unsigned char byte) { return (byte & 0xC0) == 0x80; }

void append_utf8(std::string& text, char32_t code);
std::u32string to_utf32(std::string_view valid_text);

// The code points of valid UTF-8.
size_t count_code_points(std::string_view valid_text);

// Text with every invalid sequence replaced by U+FFFD; nothing when `text` is valid as it is.
std::optional<std::string> replace_invalid_utf8(std::string_view text);
std::string to_valid_utf8(std::string text);

}  // namespace morex::text
