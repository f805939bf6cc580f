// Reads the head of a GGUF file value by value; every length is checked against what is left before it is believed.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"

namespace morex::io {

class GgufCursor {
 public:
  GgufCursor(std::span<const std::byte> bytes, std::string where) : bytes_(bytes), where_(std::move(where)) {}

  const std::string& where() const { return where_; }
  uint64_t position() const { return position_; }
  uint64_t left() const { return bytes_.size() - position_; }
  void set_part(std::string part) { part_ = std::move(part); }  // "header", "metadata": what messages say is being read

  template <typename T>
  T read() {
    const std::span<const std::byte> raw = take(sizeof(T));
    T value;
    std::memcpy(&value, raw.data(), sizeof(T));
    return value;
  }

  // A 64-bit length, then that many bytes.
  std::string_view read_string(std::string_view what) {
    const auto length = read<uint64_t>();
    MOREX_CHECK(length <= left(), ErrorKind::kFormat,
                "[{}] the {} of {} bytes at byte {} of the {} reaches beyond the end of the file", where_, what, length,
                position_, part_);
    const std::span<const std::byte> raw = take(length);
    return {reinterpret_cast<const char*>(raw.data()), raw.size()};
  }

 private:
  std::span<const std::byte> take(uint64_t size) {
    MOREX_CHECK(size <= left(), ErrorKind::kFormat, "[{}] is truncated: unexpected end of file in the {}", where_,
                part_);
    const std::span<const std::byte> raw = bytes_.subspan(position_, size);
    position_ += size;
    return raw;
  }

  std::span<const std::byte> bytes_;
  std::string where_, part_;
  uint64_t position_ = 0;
};

}  // namespace morex::io
