#include "io/event_record.h"

#include <bit>
#include <cstring>
#include <optional>

#include "base/checksum.h"

namespace morex::io {
namespace {

constexpr size_t kFrontBytes = 12;  // length and its checksum
constexpr size_t kBackBytes = 4;    // checksum of the message

uint32_t masked_crc(std::string_view bytes) {
  const uint32_t crc = crc32c(std::as_bytes(std::span(bytes.data(), bytes.size())));
  return std::rotr(crc, 15) + 0xa282ead8u;
}

template <typename T>
void append(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

template <typename T>
T load(std::string_view bytes) {
  T value;
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

void append_varint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

void append_bytes(std::string& out, char tag, std::string_view bytes) {
  out += tag;
  append_varint(out, bytes.size());
  out += bytes;
}

std::optional<uint64_t> take_varint(std::string_view& bytes) {
  uint64_t value = 0;
  for (int shift = 0; shift < 64 && !bytes.empty(); shift += 7) {
    const auto byte = static_cast<uint8_t>(bytes.front());
    bytes.remove_prefix(1);
    value |= static_cast<uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) return value;
  }
  return std::nullopt;
}

// Field 2 of the message; 0 when it is absent, nothing when the message cannot be followed.
std::optional<int64_t> step_of(std::string_view message) {
  int64_t step = 0;
  while (!message.empty()) {
    const std::optional<uint64_t> tag = take_varint(message);
    if (!tag) return std::nullopt;
    uint64_t skip = 0;
    switch (*tag & 7) {
      case 0: {
        const std::optional<uint64_t> value = take_varint(message);
        if (!value) return std::nullopt;
        if (*tag >> 3 == 2) step = static_cast<int64_t>(*value);
        break;
      }
      case 1:
        skip = 8;
        break;
      case 2: {
        const std::optional<uint64_t> length = take_varint(message);
        if (!length) return std::nullopt;
        skip = *length;
        break;
      }
      case 5:
        skip = 4;
        break;
      default:
        return std::nullopt;
    }
    if (skip > message.size()) return std::nullopt;
    message.remove_prefix(skip);
  }
  return step;
}

}  // namespace

std::string encode_file_version(double wall_time) {
  std::string message("\x09");
  append(message, wall_time);
  append_bytes(message, '\x1a', "brain.Event:2");
  return message;
}

std::string encode_scalar(double wall_time, int64_t step, std::string_view tag, float value) {
  std::string entry;
  append_bytes(entry, '\x0a', tag);
  entry += '\x15';
  append(entry, value);
  std::string summary;
  append_bytes(summary, '\x0a', entry);

  std::string message("\x09");
  append(message, wall_time);
  message += '\x10';
  append_varint(message, static_cast<uint64_t>(step));
  append_bytes(message, '\x2a', summary);
  return message;
}

std::string frame_record(std::string_view message) {
  std::string record;
  append(record, static_cast<uint64_t>(message.size()));
  append(record, masked_crc(record));
  record += message;
  append(record, masked_crc(message));
  return record;
}

std::vector<EventRecord> split_records(std::string_view content) {
  std::vector<EventRecord> records;
  while (content.size() >= kFrontBytes + kBackBytes) {
    const auto size = load<uint64_t>(content);
    if (load<uint32_t>(content.substr(8)) != masked_crc(content.substr(0, 8))) break;
    if (size > content.size() - kFrontBytes - kBackBytes) break;
    const std::string_view message = content.substr(kFrontBytes, size);
    if (load<uint32_t>(content.substr(kFrontBytes + size)) != masked_crc(message)) break;
    const std::optional<int64_t> step = step_of(message);
    if (!step) break;
    const size_t whole = kFrontBytes + size + kBackBytes;
    records.push_back({content.substr(0, whole), *step});
    content.remove_prefix(whole);
  }
  return records;
}

}  // namespace morex::io
