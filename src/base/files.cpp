#include "base/files.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <system_error>

namespace morex {
namespace fs = std::filesystem;

std::string read_text_file(const fs::path& path, ErrorKind kind) {
  std::error_code error;
  MOREX_CHECK(fs::exists(path, error), kind, "[{}] does not exist", path.string());
  MOREX_CHECK(fs::is_regular_file(path, error), kind, "[{}] must be a regular file", path.string());
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  MOREX_CHECK(in.good() || in.eof(), kind, "[{}] cannot be read: {}", path.string(), std::strerror(errno));
  return std::move(text).str();
}

AtomicFile::AtomicFile(fs::path path) : path_(std::move(path)), temporary_(path_) {
  temporary_ += ".tmp";
  descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  MOREX_CHECK(descriptor_ >= 0, ErrorKind::kRun, "[{}] cannot be written: {}", path_.string(), std::strerror(errno));
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    MOREX_CHECK(written > 0, ErrorKind::kRun, "[{}] cannot be written: {}. What was there before is unchanged.",
                path_.string(), std::strerror(errno));
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
}

void AtomicFile::write(std::string_view text) { write(std::as_bytes(std::span(text.data(), text.size()))); }

void AtomicFile::commit() {
  MOREX_CHECK(::fsync(descriptor_) == 0, ErrorKind::kRun, "[{}] cannot be flushed to the disk: {}", path_.string(),
              std::strerror(errno));
  MOREX_CHECK(::rename(temporary_.c_str(), path_.c_str()) == 0, ErrorKind::kRun,
              "[{}] cannot be renamed into place: {}", path_.string(), std::strerror(errno));
  ::close(descriptor_);
  descriptor_ = -1;
  sync_directory(path_.parent_path());
}

void write_text_file(const fs::path& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

void make_directories(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  MOREX_CHECK(!error, ErrorKind::kRun, "[{}] cannot be created: {}", path.string(), error.message());
}

void sync_directory(const fs::path& path) {
  const int descriptor = ::open(path.empty() ? "." : path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;  // some file systems refuse; the rename itself has happened
  ::fsync(descriptor);
  ::close(descriptor);
}

}  // namespace morex
