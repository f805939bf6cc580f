#include "text/byte_alphabet.h"

#include <array>

#include "text/utf8.h"

namespace morex::text {
namespace {

constexpr bool is_visible(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || (byte >= 0xAE && byte <= 0xFF);
}

// Visible bytes stand for themselves, the others for U+0100, U+0101, … in order.
struct Alphabet {
  std::array<char16_t, 256> letter{};
  std::array<int16_t, 0x200> byte{};
  constexpr Alphabet() {
    for (int16_t& b : byte) b = -1;
    char16_t next = 0x100;
    for (int b = 0; b < 256; ++b) {
      letter[b] = is_visible(b) ? static_cast<char16_t>(b) : next++;
      byte[letter[b]] = static_cast<int16_t>(b);
    }
  }
};
constexpr Alphabet kAlphabet;

}  // namespace

char32_t byte_to_letter(uint8_t byte) { return kAlphabet.letter[byte]; }

int letter_to_byte(char32_t letter) { return letter < kAlphabet.byte.size() ? kAlphabet.byte[letter] : -1; }

std::string bytes_to_letters(std::string_view bytes) {
  std::string out;
  for (const char b : bytes) append_utf8(out, byte_to_letter(static_cast<uint8_t>(b)));
  return out;
}

std::optional<std::string> letters_to_bytes(std::string_view token) {
  std::string out;
  for (size_t at = 0; at < token.size();) {
    const CodePoint point = decode_code_point(token, at);
    const int byte = point.valid ? letter_to_byte(point.code) : -1;
    if (byte < 0) return std::nullopt;
    out.push_back(static_cast<char>(byte));
    at += point.length;
  }
  return out;
}

}  // namespace morex::text
