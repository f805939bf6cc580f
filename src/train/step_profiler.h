// The profile of a run: a few of its steps, recorded, summed up, written.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "base/warnings.h"
#include "ops/time_recorder.h"

namespace morex::train {

class StepProfiler {
 public:
  // The third to fifth step of those from `first_step` (updates done before) to `total_steps`; of a shorter run, what
  // there is of them, or else its last step: then a warning says that warming up is part of the figures.
  StepProfiler(int64_t first_step, int64_t total_steps, int64_t threads, Warnings& warnings);

  // Recording of the step with index `step`, as long as the result lives; null for steps that are not profiled.
  std::unique_ptr<ops::TimeRecorder::Session> record(int64_t step);
  // Whether `steps` updates done are all that was wanted, and are not yet written.
  bool ready(int64_t steps) const { return steps == end_ && recorded_ > 0; }
  // Measures the machine's peak (half a second for each dtype) and writes profile.txt and profile.json into the folder.
  // Nothing when nothing was recorded since the last call.
  void write(const std::filesystem::path& folder);

  const std::string& text() const { return text_; }  // of profile.txt; empty before it is written

 private:
  int64_t begin_ = 0, end_ = 0, threads_;  // step indices, `end_` not included
  int64_t recorded_ = 0;
  ops::TimeRecorder recorder_;
  std::string text_;
};

}  // namespace morex::train
