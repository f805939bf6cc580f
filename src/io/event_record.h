// The records of a TensorBoard event file: a length, a protocol-buffer message, and a checksum of each.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace morex::io {

// Event messages, encoded by hand.
std::string encode_file_version(double wall_time);
std::string encode_scalar(double wall_time, int64_t step, std::string_view tag, float value);

// The framed record of one message.
std::string frame_record(std::string_view message);

struct EventRecord {
  std::string_view bytes;  // with its frame
  int64_t step = 0;
};

// The whole records at the start of a file's content; a torn or damaged rest is left out.
std::vector<EventRecord> split_records(std::string_view content);

}  // namespace morex::io
