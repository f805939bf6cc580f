// CRC-32 (zip archives), CRC-32C (event files) and SHA-256 (digests of models and data).
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace morex {

uint32_t crc32(std::span<const std::byte> bytes);  // of ISO 3309
uint32_t crc32c(std::span<const std::byte> bytes);

class Sha256 {
 public:
  Sha256();
  void update(std::span<const std::byte> bytes);
  std::string hex();  // finishes; call once

 private:
  void block(const uint8_t* data);
  std::array<uint32_t, 8> state_;
  std::array<uint8_t, 64> buffer_;
  uint64_t size_ = 0;
};

std::string sha256_hex(std::span<const std::byte> bytes);
std::string sha256_hex(std::string_view text);
std::string sha256_hex_of_file(const std::filesystem::path& path);

}  // namespace morex
