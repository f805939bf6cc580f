// A read-only memory map of a whole file.
#pragma once
#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>

#include "base/error.h"

namespace morex {

class MappedFile {
 public:
  // Throws Error(kind) when the file cannot be opened. An empty file maps to an empty span.
  static std::shared_ptr<const MappedFile> open(const std::filesystem::path& path, ErrorKind kind = ErrorKind::kFormat);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::filesystem::path& path() const { return path_; }

  // Gives the memory behind these bytes, a part of bytes(), back to the system. They can still be read: from the file.
  void release(std::span<const std::byte> part) const;

 private:
  MappedFile() = default;
  std::filesystem::path path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace morex
