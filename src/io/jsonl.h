// JSON Lines, one object a line, read as a stream.
#pragma once
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

#include "base/json.h"

namespace morex::io {

class JsonlReader {
 public:
  explicit JsonlReader(std::filesystem::path path);  // Error(kData) when it cannot be opened
  // The next object; false at the end. Blank lines are passed over. Error(kData) "FILE:LINE: …" for a line that is no
  // JSON object or no UTF-8.
  bool next(Json& object);
  int64_t line_number() const { return line_; }  // of the object last returned, from 1
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  std::ifstream in_;
  int64_t line_ = 0;
};

// Appends lines to a file that may have been cut by a kill: a torn last line is removed when it is opened, and
// `keep_while` (given each whole line) says from which line on old content is dropped (a resume repeats steps).
class JsonlAppender {
 public:
  JsonlAppender(std::filesystem::path path, const std::function<bool(const Json&)>& keep_while);
  void append(const Json& object);  // one line, flushed to the system
 private:
  std::filesystem::path path_;
  std::ofstream out_;
};

}  // namespace morex::io
