#include "io/gguf_metadata.h"

#include <array>
#include <string_view>

#include "io/text_check.h"

namespace morex::io {
namespace {

enum Type : uint32_t { kU8, kI8, kU16, kI16, kU32, kI32, kF32, kBool, kString, kArray, kU64, kI64, kF64 };
constexpr std::array<std::string_view, 13> kNames = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                                     "bool", "string", "array", "u64", "i64", "f64"};
// The least bytes that one value of each type takes in the file.
constexpr std::array<uint64_t, 13> kLeastBytes = {1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8};

constexpr int kMaxDepth = 16;
// A value takes 40 bytes here and as little as one in the file: without a limit a large file could exhaust the memory.
constexpr uint64_t kMaxElements = 1 << 24;

class MetadataReader {
 public:
  explicit MetadataReader(GgufCursor& cursor) : cursor_(cursor) {}

  GgufValue read_entry(std::string key) {
    key_ = std::move(key);
    return read_value(read_type(), 0);
  }

 private:
  uint32_t read_type() {
    const auto type = cursor_.read<uint32_t>();
    MOREX_CHECK(type < kNames.size(), ErrorKind::kFormat, "[{}] key {}: unknown value type {}", cursor_.where(), key_,
                type);
    return type;
  }

  GgufValue read_value(uint32_t type, int depth) {
    switch (type) {
      case kU8:
        return cursor_.read<uint8_t>();
      case kI8:
        return cursor_.read<int8_t>();
      case kU16:
        return cursor_.read<uint16_t>();
      case kI16:
        return cursor_.read<int16_t>();
      case kU32:
        return cursor_.read<uint32_t>();
      case kI32:
        return cursor_.read<int32_t>();
      case kF32:
        return cursor_.read<float>();
      case kBool:
        return read_bool();
      case kString:
        return std::string(cursor_.read_string("string"));
      case kArray:
        return read_array(depth);
      case kU64:
        return cursor_.read<uint64_t>();
      case kI64:
        return cursor_.read<int64_t>();
      default:
        return cursor_.read<double>();
    }
  }

  bool read_bool() {
    const auto byte = cursor_.read<uint8_t>();
    MOREX_CHECK(byte <= 1, ErrorKind::kFormat, "[{}] key {}: a bool of type u8 must be 0 or 1, got {}", cursor_.where(),
                key_, byte);
    return byte == 1;
  }

  std::shared_ptr<GgufArray> read_array(int depth) {
    MOREX_CHECK(depth < kMaxDepth, ErrorKind::kFormat, "[{}] key {}: arrays are nested too deeply, more than {} levels",
                cursor_.where(), key_, kMaxDepth);
    auto array = std::make_shared<GgufArray>();
    array->element_type = read_type();
    const auto count = cursor_.read<uint64_t>();
    MOREX_CHECK(count <= cursor_.left() / kLeastBytes[array->element_type], ErrorKind::kFormat,
                "[{}] key {}: an array of {} {} reaches beyond the end of the file", cursor_.where(), key_, count,
                kNames[array->element_type]);
    elements_ += count;
    MOREX_CHECK(elements_ <= kMaxElements, ErrorKind::kFormat,
                "[{}] key {}: too many array elements in the metadata, more than {}", cursor_.where(), key_,
                kMaxElements);
    array->values.reserve(count);
    for (uint64_t i = 0; i < count; ++i) array->values.push_back(read_value(array->element_type, depth + 1));
    return array;
  }

  GgufCursor& cursor_;
  std::string key_;
  uint64_t elements_ = 0;
};

}  // namespace

std::map<std::string, GgufValue, std::less<>> read_gguf_metadata(GgufCursor& cursor, uint64_t count) {
  constexpr uint64_t kLeastEntry = 8 + 4 + 1;
  cursor.set_part("metadata");
  MOREX_CHECK(count <= cursor.left() / kLeastEntry, ErrorKind::kFormat,
              "[{}] the metadata is truncated: its count of {} entries is larger than the file can hold",
              cursor.where(), count);
  std::map<std::string, GgufValue, std::less<>> metadata;
  MetadataReader reader(cursor);
  for (uint64_t i = 0; i < count; ++i) {
    const std::string_view key = cursor.read_string("key");
    MOREX_CHECK(is_utf8(key), ErrorKind::kFormat, "[{}] metadata key {} is not valid UTF-8: {}", cursor.where(), i,
                printable(key));
    GgufValue value = reader.read_entry(printable(key));
    const bool inserted = metadata.emplace(key, std::move(value)).second;
    MOREX_CHECK(inserted, ErrorKind::kFormat, "[{}] duplicate metadata key {}", cursor.where(), printable(key));
  }
  return metadata;
}

std::string gguf_kind(const GgufValue& value) {
  if (const auto* array = std::get_if<std::shared_ptr<GgufArray>>(&value))
    return std::string(kNames[(*array)->element_type]) + " array";
  return std::string(kNames[value.index()]);
}

}  // namespace morex::io
