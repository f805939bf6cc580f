// TensorBoard event files (scalars), written without protobuf.
#pragma once
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

namespace morex::io {

class EventWriter {
 public:
  // Starts `events.out.tfevents.<seconds>.<host>.<n>` in `folder`. With first_step > 0 (a resume) the records of steps
  // >= first_step are cut from the folder's older files, so that every step stands once.
  EventWriter(const std::filesystem::path& folder, int64_t first_step);
  void scalar(int64_t step, const std::string& tag, float value);
  void flush();

 private:
  std::filesystem::path path_;
  std::ofstream out_;
};

}  // namespace morex::io
