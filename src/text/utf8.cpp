#include "text/utf8.h"

#include <cstring>

namespace morex::text {
namespace {

// Bytes from `position` on that are ASCII for sure, in steps of eight.
size_t ascii_run(std::string_view text, size_t position) {
  size_t at = position;
  while (at + 8 <= text.size()) {
    uint64_t word;
    std::memcpy(&word, text.data() + at, 8);
    if ((word & 0x8080808080808080ULL) != 0) break;
    at += 8;
  }
  return at - position;
}

}  // namespace

CodePoint decode_code_point(std::string_view text, size_t position) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(position);
  if (lead < 0x80) return {lead, 1, true};
  uint32_t length = 0;
  unsigned char low = 0x80, high = 0xBF;  // limits of the second byte
  if (lead >= 0xC2 && lead <= 0xDF) {
    length = 2;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    length = 3;
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    length = 4;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
  } else {
    return {0xFFFD, 1, false};
  }
  char32_t code = lead & (0x7F >> length);
  for (uint32_t i = 1; i < length; ++i) {
    if (position + i >= text.size()) return {0xFFFD, i, false};
    const unsigned char next = byte(position + i);
    if (next < low || next > high) return {0xFFFD, i, false};
    code = (code << 6) | (next & 0x3F);
    low = 0x80;
    high = 0xBF;
  }
  return {code, length, true};
}

void append_utf8(std::string& text, char32_t code) {
  if (code < 0x80) {
    text.push_back(static_cast<char>(code));
  } else if (code < 0x800) {
    text.push_back(static_cast<char>(0xC0 | (code >> 6)));
    text.push_back(static_cast<char>(0x80 | (code & 0x3F)));
  } else if (code < 0x10000) {
    text.push_back(static_cast<char>(0xE0 | (code >> 12)));
    text.push_back(static_cast<char>(0x80 | ((code >> 6) & 0x3F)));
    text.push_back(static_cast<char>(0x80 | (code & 0x3F)));
  } else {
    text.push_back(static_cast<char>(0xF0 | (code >> 18)));
    text.push_back(static_cast<char>(0x80 | ((code >> 12) & 0x3F)));
    text.push_back(static_cast<char>(0x80 | ((code >> 6) & 0x3F)));
    text.push_back(static_cast<char>(0x80 | (code & 0x3F)));
  }
}

std::u32string to_utf32(std::string_view valid_text) {
  std::u32string out;
  for (size_t at = 0; at < valid_text.size();) {
    const CodePoint point = decode_code_point(valid_text, at);
    out.push_back(point.code);
    at += point.length;
  }
  return out;
}

size_t count_code_points(std::string_view valid_text) {
  size_t count = 0;
  for (const char c : valid_text) count += is_continuation(static_cast<unsigned char>(c)) ? 0 : 1;
  return count;
}

std::optional<std::string> replace_invalid_utf8(std::string_view text) {
  size_t at = 0;
  for (; at < text.size();) {
    at += ascii_run(text, at);
    if (at == text.size()) break;
    const CodePoint point = decode_code_point(text, at);
    if (!point.valid) break;
    at += point.length;
  }
  if (at == text.size()) return std::nullopt;
  std::string out(text.substr(0, at));
  while (at < text.size()) {
    const CodePoint point = decode_code_point(text, at);
    append_utf8(out, point.code);
    at += point.length;
  }
  return out;
}

std::string to_valid_utf8(std::string text) {
  std::optional<std::string> replaced = replace_invalid_utf8(text);
  return replaced ? std::move(*replaced) : std::move(text);
}

}  // namespace morex::text
