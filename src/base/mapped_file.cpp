#include "base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace morex {

std::shared_ptr<const MappedFile> MappedFile::open(const std::filesystem::path& path, ErrorKind kind) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  MOREX_CHECK(descriptor >= 0, kind, "[{}] cannot be opened: {}", path.string(), std::strerror(errno));
  struct stat status {};
  if (::fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(descriptor);
    fail(kind, "[{}] must be a regular file", path.string());
  }
  std::shared_ptr<MappedFile> file(new MappedFile());
  file->path_ = path;
  const auto size = static_cast<size_t>(status.st_size);
  if (size > 0) {
    void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    const int reason = errno;
    if (data == MAP_FAILED) {
      ::close(descriptor);
      fail(kind, "[{}] cannot be mapped: {}", path.string(), std::strerror(reason));
    }
    file->data_ = static_cast<const std::byte*>(data);
    file->size_ = size;
  }
  ::close(descriptor);
  return file;
}

void MappedFile::release(std::span<const std::byte> part) const {
  MOREX_ASSERT(part.empty() || (part.data() >= data_ && part.data() + part.size() <= data_ + size_));
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const auto offset = static_cast<size_t>(part.data() - data_);
  const size_t begin = (offset + page - 1) / page * page, end = (offset + part.size()) / page * page;
  if (part.empty() || begin >= end) return;
  ::madvise(const_cast<std::byte*>(data_) + begin, end - begin, MADV_DONTNEED);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

}  // namespace morex
