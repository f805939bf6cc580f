// GPT-2's printable spelling of bytes: each of the 256 byte values is written as one visible character.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace morex::text {

char32_t byte_to_letter(uint8_t byte);
// The byte that `letter` stands for, -1 when it is no letter of the alphabet.
int letter_to_byte(char32_t letter);
std::string bytes_to_letters(std::string_view bytes);
// The bytes a token stands for; nothing when some character of it is not of the alphabet.
std::optional<std::string> letters_to_bytes(std::string_view token);

}  // namespace morex::text
