#include "io/zip_archive.h"

#include <cstdint>
#include <cstring>

#include "base/checksum.h"
#include "base/error.h"
#include "io/text_check.h"

namespace morex::io {
namespace {

constexpr uint32_t kLocal = 0x04034b50, kCentral = 0x02014b50, kEnd = 0x06054b50, kEnd64 = 0x06064b50,
                   kLocator64 = 0x07064b50;
constexpr size_t kEndSize = 22, kLongestComment = 0xFFFF;
constexpr uint32_t kFull = 0xFFFFFFFF;  // the value stands in the zip64 part

// Little-endian numbers at checked places.
class Places {
 public:
  explicit Places(const MappedFile& file) : bytes_(file.bytes()), where_(file.path().string()) {}

  template <typename T>
  T at(uint64_t place) const {
    T value;
    std::memcpy(&value, part(place, sizeof(T)).data(), sizeof(T));
    return value;
  }
  std::span<const std::byte> part(uint64_t place, uint64_t size) const {
    MOREX_CHECK(place <= bytes_.size() && size <= bytes_.size() - place, ErrorKind::kFormat,
                "[{}] the zip archive is broken: a part of {} bytes at byte {} lies outside the file", where_, size,
                place);
    return bytes_.subspan(place, size);
  }
  uint64_t size() const { return bytes_.size(); }
  const std::string& where() const { return where_; }

 private:
  std::span<const std::byte> bytes_;
  std::string where_;
};

struct Directory {
  uint64_t entries = 0, begin = 0;
};

Directory find_directory(const Places& file) {
  MOREX_CHECK(file.size() >= kEndSize, ErrorKind::kFormat, "[{}] must be a zip archive, it is too short", file.where());
  const uint64_t last = file.size() - kEndSize;
  uint64_t end = last;
  while (file.at<uint32_t>(end) != kEnd) {
    MOREX_CHECK(end > 0 && last - end < kLongestComment, ErrorKind::kFormat,
                "[{}] must be a zip archive, it has no end of one", file.where());
    --end;
  }
  Directory found{file.at<uint16_t>(end + 10), file.at<uint32_t>(end + 16)};
  const bool wide = found.entries == 0xFFFF || found.begin == kFull || file.at<uint32_t>(end + 12) == kFull;
  if (!wide) return found;
  MOREX_CHECK(end >= 20 && file.at<uint32_t>(end - 20) == kLocator64, ErrorKind::kFormat,
              "[{}] the zip archive is broken: its zip64 part is missing", file.where());
  const auto end64 = file.at<uint64_t>(end - 20 + 8);
  MOREX_CHECK(file.at<uint32_t>(end64) == kEnd64, ErrorKind::kFormat,
              "[{}] the zip archive is broken: its zip64 part is missing", file.where());
  return {file.at<uint64_t>(end64 + 32), file.at<uint64_t>(end64 + 48)};
}

struct Entry {
  std::string name;
  uint64_t size = 0, header = 0;
  uint32_t crc = 0;
};

// Puts the values of the zip64 extra field where the short ones are full, in their order.
void widen(const Places& file, uint64_t extra, uint64_t length, uint64_t& size, uint64_t& packed, uint64_t& header) {
  const uint64_t end = extra + length;
  while (extra + 4 <= end) {
    const auto id = file.at<uint16_t>(extra);
    const uint64_t field = file.at<uint16_t>(extra + 2);
    extra += 4;
    if (id == 1) {
      for (uint64_t* value : {&size, &packed, &header}) {
        if (*value != kFull || extra + 8 > end) continue;
        *value = file.at<uint64_t>(extra);
        extra += 8;
      }
      return;
    }
    extra += field;
  }
}

Entry read_entry(const Places& file, uint64_t& place) {
  MOREX_CHECK(file.at<uint32_t>(place) == kCentral, ErrorKind::kFormat,
              "[{}] the zip archive is broken: byte {} must begin an entry of its directory", file.where(), place);
  const auto flags = file.at<uint16_t>(place + 8), method = file.at<uint16_t>(place + 10);
  Entry entry;
  entry.crc = file.at<uint32_t>(place + 16);
  uint64_t packed = file.at<uint32_t>(place + 20);
  entry.size = file.at<uint32_t>(place + 24);
  const uint64_t name = file.at<uint16_t>(place + 28), extra = file.at<uint16_t>(place + 30),
                 comment = file.at<uint16_t>(place + 32);
  entry.header = file.at<uint32_t>(place + 42);
  const std::span<const std::byte> text = file.part(place + 46, name);
  entry.name.assign(reinterpret_cast<const char*>(text.data()), text.size());
  file.part(place + 46 + name, extra);
  widen(file, place + 46 + name, extra, entry.size, packed, entry.header);
  MOREX_CHECK(method == 0 && (flags & 1) == 0 && packed == entry.size, ErrorKind::kFormat,
              "[{}] {} must be stored as it is, it is compressed or encrypted", file.where(), printable(entry.name));
  place += 46 + name + extra + comment;
  return entry;
}

}  // namespace

std::map<std::string, std::span<const std::byte>> zip_entries(const std::shared_ptr<const MappedFile>& mapped) {
  const Places file(*mapped);
  const Directory directory = find_directory(file);
  std::map<std::string, std::span<const std::byte>> entries;
  uint64_t place = directory.begin;
  for (uint64_t i = 0; i < directory.entries; ++i) {
    const Entry entry = read_entry(file, place);
    MOREX_CHECK(file.at<uint32_t>(entry.header) == kLocal, ErrorKind::kFormat,
                "[{}] the zip archive is broken: {} does not begin where its directory says", file.where(),
                printable(entry.name));
    const uint64_t begin =
        entry.header + 30 + file.at<uint16_t>(entry.header + 26) + file.at<uint16_t>(entry.header + 28);
    const std::span<const std::byte> bytes = file.part(begin, entry.size);
    MOREX_CHECK(crc32(bytes) == entry.crc, ErrorKind::kFormat,
                "[{}] {} does not have its checksum: the file is damaged", file.where(), printable(entry.name));
    MOREX_CHECK(entries.emplace(entry.name, bytes).second, ErrorKind::kFormat,
                "[{}] the zip archive must hold each name once, {} is there twice", file.where(),
                printable(entry.name));
  }
  return entries;
}

}  // namespace morex::io
