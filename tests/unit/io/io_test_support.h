// Small helpers of the io tests: files from text, errors as text, GGUF files written byte by byte.
#pragma once
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace morex::test {

inline void write_file(const std::filesystem::path& path, std::string_view content) {
  std::ofstream(path, std::ios::binary) << content;
}

inline std::string read_file(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

// The message of the Error that `action` throws, "no error" when it throws none. Other exceptions escape.
inline std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

template <typename T>
std::string raw(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

// A safetensors file with this header and this data.
inline std::string safetensors_bytes(std::string_view header, std::string_view data) {
  return raw<uint64_t>(header.size()).append(header).append(data);
}

inline std::string gguf_string(std::string_view text) { return raw<uint64_t>(text.size()).append(text); }

// A GGUF file in the making: entries() and tensors() are appended as raw bytes, data follows the alignment.
struct GgufBytes {
  uint32_t version = 3;
  uint64_t entry_count = 0, tensor_count = 0;
  std::string entries, tensors, data;
  uint64_t alignment = 32;

  void entry(std::string_view key, uint32_t type, std::string_view value) {
    entries += gguf_string(key) + raw(type) + std::string(value);
    ++entry_count;
  }
  void tensor(std::string_view name, const std::vector<uint64_t>& dimensions, uint32_t type, uint64_t offset) {
    tensors += gguf_string(name) + raw(static_cast<uint32_t>(dimensions.size()));
    for (const uint64_t dimension : dimensions) tensors += raw(dimension);
    tensors += raw(type) + raw(offset);
    ++tensor_count;
  }
  std::string bytes() const {
    std::string file = "GGUF" + raw(version) + raw(tensor_count) + raw(entry_count) + entries + tensors;
    file.resize((file.size() + alignment - 1) / alignment * alignment);
    return file + data;
  }
};

}  // namespace morex::test
