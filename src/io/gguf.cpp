#include "io/gguf.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "io/gguf_cursor.h"
#include "io/gguf_metadata.h"
#include "io/text_check.h"

namespace morex::io {
namespace {

constexpr uint64_t kDefaultAlignment = 32;
constexpr uint32_t kMaxDimensions = 4;

struct Header {
  uint32_t version = 0;
  uint64_t tensors = 0, entries = 0;
};

Header read_header(GgufCursor& cursor) {
  const std::string& where = cursor.where();
  cursor.set_part("header");
  MOREX_CHECK(cursor.left() >= 4, ErrorKind::kFormat, "[{}] is not a GGUF file: too short, {} bytes", where,
              cursor.left());
  const auto magic = cursor.read<std::array<char, 4>>();
  MOREX_CHECK(std::string_view(magic.data(), 4) == "GGUF", ErrorKind::kFormat,
              "[{}] is not a GGUF file: wrong magic '{}'", where, printable({magic.data(), 4}));
  Header header;
  header.version = cursor.read<uint32_t>();
  MOREX_CHECK((header.version & 0xFFFF) != 0 || header.version == 0, ErrorKind::kFormat,
              "[{}] unsupported byte order: the version reads as {}, so the file is big-endian", where, header.version);
  MOREX_CHECK(header.version == 2 || header.version == 3, ErrorKind::kFormat,
              "[{}] unsupported GGUF version {}. Hint: versions 2 and 3 are read.", where, header.version);
  header.tensors = cursor.read<uint64_t>();
  header.entries = cursor.read<uint64_t>();
  return header;
}

uint64_t read_alignment(const std::map<std::string, GgufValue, std::less<>>& metadata, const std::string& where) {
  const auto found = metadata.find("general.alignment");
  if (found == metadata.end()) return kDefaultAlignment;
  const auto* alignment = std::get_if<uint32_t>(&found->second);
  MOREX_CHECK(alignment != nullptr, ErrorKind::kFormat,
              "[{}] general.alignment has the wrong type: it must be u32, got {}", where, gguf_kind(found->second));
  MOREX_CHECK(*alignment != 0 && (*alignment & (*alignment - 1)) == 0, ErrorKind::kFormat,
              "[{}] general.alignment must be a power of two, got {}", where, *alignment);
  return *alignment;
}

struct TensorEntry {
  GgufTensor tensor;  // bytes not set yet
  uint64_t offset = 0, size = 0;
};

TensorEntry read_tensor_entry(GgufCursor& cursor, uint64_t number) {
  const std::string& where = cursor.where();
  TensorEntry entry;
  const std::string_view raw_name = cursor.read_string("name");
  const std::string shown = printable(raw_name);
  MOREX_CHECK(is_utf8(raw_name), ErrorKind::kFormat, "[{}] the name of tensor {} is not valid UTF-8: {}", where, number,
              shown);
  entry.tensor.name = raw_name;

  const auto dimensions = cursor.read<uint32_t>();
  MOREX_CHECK(dimensions <= kMaxDimensions, ErrorKind::kFormat, "[{}] tensor {}: too many dimensions, {} of at most {}",
              where, shown, dimensions, kMaxDimensions);
  uint64_t count = 1;
  for (uint32_t i = 0; i < dimensions; ++i) {
    const auto dimension = cursor.read<uint64_t>();
    MOREX_CHECK(dimension <= INT64_MAX, ErrorKind::kFormat,
                "[{}] tensor {}: bad dimension, {} is negative or too large", where, shown,
                static_cast<int64_t>(dimension));
    MOREX_CHECK(!__builtin_mul_overflow(count, dimension, &count) && count <= INT64_MAX, ErrorKind::kFormat,
                "[{}] tensor {}: the element count of its dimensions overflows", where, shown);
    entry.tensor.shape.insert(entry.tensor.shape.begin(), static_cast<int64_t>(dimension));
  }

  const auto type_number = cursor.read<uint32_t>();
  const GgmlType* type = ggml_type(type_number);
  MOREX_CHECK(type != nullptr, ErrorKind::kFormat, "[{}] tensor {}: unknown or removed tensor type {}", where, shown,
              type_number);
  entry.tensor.type = *type;
  const int64_t row = dimensions == 0 ? 1 : entry.tensor.shape.back();
  MOREX_CHECK(row % type->block == 0, ErrorKind::kFormat,
              "[{}] tensor {}: row length {} is not a multiple of the block size {} of type {}", where, shown, row,
              type->block, type->name);
  MOREX_CHECK(!__builtin_mul_overflow(count / static_cast<uint64_t>(type->block),
                                      static_cast<uint64_t>(type->block_bytes), &entry.size),
              ErrorKind::kFormat, "[{}] tensor {}: the byte count of its dimensions overflows", where, shown);
  entry.offset = cursor.read<uint64_t>();
  return entry;
}

// Sets each tensor's bytes; the data part begins at `start`.
void place(std::vector<TensorEntry>& entries, std::span<const std::byte> file, uint64_t start, uint64_t alignment,
           const std::string& where) {
  for (TensorEntry& entry : entries) {
    const std::string shown = printable(entry.tensor.name);
    MOREX_CHECK(entry.offset % alignment == 0, ErrorKind::kFormat, "[{}] tensor {}: offset {} is not aligned to {}",
                where, shown, entry.offset, alignment);
    uint64_t begin = 0;
    uint64_t end = 0;
    const bool wraps =
        __builtin_add_overflow(start, entry.offset, &begin) || __builtin_add_overflow(begin, entry.size, &end);
    MOREX_CHECK(!wraps && end <= file.size(), ErrorKind::kFormat,
                "[{}] tensor {}: its data reaches beyond the end of the file ({} bytes at offset {} of a file of {}). "
                "Hint: the "
                "file may be truncated; fetch it again.",
                where, shown, entry.size, entry.offset, file.size());
    entry.tensor.bytes = file.subspan(begin, entry.size);
  }
}

void check_overlap(const std::vector<TensorEntry>& entries, const std::string& where) {
  std::vector<const TensorEntry*> sorted;
  for (const TensorEntry& entry : entries)
    if (entry.size > 0) sorted.push_back(&entry);
  std::sort(sorted.begin(), sorted.end(), [](const auto* a, const auto* b) { return a->offset < b->offset; });
  for (size_t i = 1; i < sorted.size(); ++i) {
    const TensorEntry& before = *sorted[i - 1];
    MOREX_CHECK(before.offset + before.size <= sorted[i]->offset, ErrorKind::kFormat, "[{}] tensors {} and {} overlap",
                where, printable(before.tensor.name), printable(sorted[i]->tensor.name));
  }
}

}  // namespace

std::shared_ptr<const GgufFile> GgufFile::open(const std::filesystem::path& path) {
  auto result = std::make_shared<GgufFile>();
  result->file_ = MappedFile::open(path);
  const std::span<const std::byte> bytes = result->file_->bytes();
  GgufCursor cursor(bytes, path.string());
  const Header header = read_header(cursor);
  result->version_ = header.version;
  result->metadata_ = read_gguf_metadata(cursor, header.entries);
  const uint64_t alignment = read_alignment(result->metadata_, cursor.where());

  constexpr uint64_t kLeastEntry = 8 + 4 + 4 + 8;
  cursor.set_part("tensor table");
  MOREX_CHECK(header.tensors <= cursor.left() / kLeastEntry, ErrorKind::kFormat,
              "[{}] the tensor table is truncated: its count of {} tensors is larger than the file can hold",
              cursor.where(), header.tensors);
  std::vector<TensorEntry> entries;
  entries.reserve(header.tensors);
  for (uint64_t i = 0; i < header.tensors; ++i) {
    entries.push_back(read_tensor_entry(cursor, i));
    MOREX_CHECK(result->index_.emplace(entries.back().tensor.name, i).second, ErrorKind::kFormat,
                "[{}] duplicate tensor {}", cursor.where(), printable(entries.back().tensor.name));
  }
  const uint64_t start = (cursor.position() + alignment - 1) / alignment * alignment;
  place(entries, bytes, start, alignment, cursor.where());
  check_overlap(entries, cursor.where());
  result->tensors_.reserve(entries.size());
  for (TensorEntry& entry : entries) result->tensors_.push_back(std::move(entry.tensor));
  return result;
}

const GgufTensor* GgufFile::find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

}  // namespace morex::io
