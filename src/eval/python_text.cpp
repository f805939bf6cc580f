#include "eval/python_text.h"

#include <algorithm>
#include <array>

namespace morex::eval {
namespace {

// The blanks beyond ASCII: U+0085, U+00A0, U+1680, U+2000 … U+200A, U+2028, U+2029, U+202F, U+205F, U+3000.
constexpr std::array<std::string_view, 19> kWideBlanks = {
    "\xc2\x85",     "\xc2\xa0",     "\xe1\x9a\x80", "\xe2\x80\x80", "\xe2\x80\x81", "\xe2\x80\x82", "\xe2\x80\x83",
    "\xe2\x80\x84", "\xe2\x80\x85", "\xe2\x80\x86", "\xe2\x80\x87", "\xe2\x80\x88", "\xe2\x80\x89", "\xe2\x80\x8a",
    "\xe2\x80\xa8", "\xe2\x80\xa9", "\xe2\x80\xaf", "\xe2\x81\x9f", "\xe3\x80\x80"};

bool is_ascii_blank(char c) { return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20); }

size_t blank_at_end(std::string_view text) {
  if (!text.empty() && is_ascii_blank(text.back())) return 1;
  for (const std::string_view blank : kWideBlanks) {
    if (text.ends_with(blank)) return blank.size();
  }
  return 0;
}

size_t blank_at_start(std::string_view text) {
  if (!text.empty() && is_ascii_blank(text.front())) return 1;
  for (const std::string_view blank : kWideBlanks) {
    if (text.starts_with(blank)) return blank.size();
  }
  return 0;
}

}  // namespace

std::string_view python_rstrip(std::string_view text) {
  while (const size_t bytes = blank_at_end(text)) text.remove_suffix(bytes);
  return text;
}

std::string_view python_strip(std::string_view text) {
  while (const size_t bytes = blank_at_start(text)) text.remove_prefix(bytes);
  return python_rstrip(text);
}

int64_t character_count(std::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; });
}

}  // namespace morex::eval
