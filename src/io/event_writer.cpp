#include "io/event_writer.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "io/event_record.h"

namespace morex::io {
namespace {
namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "events.out.tfevents.";

double now_seconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string host_name() {
  std::array<char, 256> name{};
  if (gethostname(name.data(), name.size() - 1) != 0 || name[0] == '\0') return "localhost";
  return name.data();
}

std::vector<fs::path> event_files(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (entry.is_regular_file() && name.starts_with(kPrefix) && !name.ends_with(".tmp")) files.push_back(entry.path());
  }
  return files;
}

// The seconds in an event file's name, 0 when there are none.
int64_t seconds_of(const fs::path& file) {
  const std::string name = file.filename().string();
  int64_t seconds = 0;
  std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), seconds);
  return seconds;
}

// Rewrites the file without the records of first_step and later, and without a torn end.
void cut(const fs::path& file, int64_t first_step) {
  const std::string content = read_text_file(file, ErrorKind::kRun);
  std::string kept;
  for (const EventRecord& record : split_records(content))
    if (record.step < first_step) kept += record.bytes;
  if (kept.size() != content.size()) write_text_file(file, kept);
}

}  // namespace

EventWriter::EventWriter(const fs::path& folder, int64_t first_step) {
  make_directories(folder);
  // Viewers read the files of a folder in the order of their names: the new one must come last.
  auto seconds = static_cast<int64_t>(now_seconds());
  const std::vector<fs::path> older = event_files(folder);
  for (const fs::path& file : older) {
    seconds = std::max(seconds, seconds_of(file) + 1);
    if (first_step > 0) cut(file, first_step);
  }
  path_ = folder / fmt::format("{}{:010d}.{}.{}", kPrefix, seconds, host_name(), older.size());
  out_.open(path_, std::ios::binary | std::ios::trunc);
  MOREX_CHECK(out_.is_open(), ErrorKind::kRun, "[{}] cannot be written: {}", path_.string(), std::strerror(errno));
  out_ << frame_record(encode_file_version(now_seconds()));
  flush();
}

void EventWriter::scalar(int64_t step, const std::string& tag, float value) {
  out_ << frame_record(encode_scalar(now_seconds(), step, tag, value));
}

void EventWriter::flush() {
  out_.flush();
  MOREX_CHECK(out_.good(), ErrorKind::kRun, "[{}] cannot be written: {}", path_.string(), std::strerror(errno));
}

}  // namespace morex::io
