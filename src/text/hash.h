// The hash functions of the tokenizer's flat tables.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace morex::text {

inline uint64_t mix(uint64_t a, uint64_t b) {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

inline uint64_t hash_bytes(std::string_view text) {
  constexpr uint64_t kOdd = 0x9E3779B97F4A7C15ULL;
  uint64_t hash = mix(text.size() + 1, kOdd);
  const char* at = text.data();
  size_t left = text.size();
  for (; left >= 8; left -= 8, at += 8) {
    uint64_t word;
    std::memcpy(&word, at, 8);
    hash = mix((hash ^ word) + kOdd, kOdd);
  }
  uint64_t word = 0;
  if (left > 0) std::memcpy(&word, at, left);
  return mix((hash ^ word) + kOdd, 0xD6E8FEB86659FD93ULL);
}

}  // namespace morex::text
