// Whole-file reading and writing; what is written appears complete or not at all.
#pragma once
#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"

namespace morex {

// The file's content. Throws Error(kind) naming the path.
std::string read_text_file(const std::filesystem::path& path, ErrorKind kind = ErrorKind::kFormat);

// Writes beside `path`, flushes to the disk, then renames over it. Destroying it without commit() removes the
// temporary file and leaves the old content. Throws Error(kRun) with the system's reason (disk full, size limit, …).
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  void commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int descriptor_ = -1;
};

void write_text_file(const std::filesystem::path& path, std::string_view text);  // by AtomicFile
void make_directories(const std::filesystem::path& path);                        // Error(kRun) with the reason
void sync_directory(const std::filesystem::path& path);                          // makes renames in it durable

}  // namespace morex
