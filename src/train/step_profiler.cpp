#include "train/step_profiler.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/files.h"
#include "train/chrome_trace.h"
#include "train/peak_rate.h"
#include "train/profile.h"
#include "train/profile_text.h"

namespace morex::train {
namespace {

constexpr int64_t kWarmUp = 2, kSteps = 3;

}  // namespace

StepProfiler::StepProfiler(int64_t first_step, int64_t total_steps, int64_t threads, Warnings& warnings)
    : threads_(threads) {
  const int64_t steps = total_steps - first_step;
  const int64_t skipped = std::clamp<int64_t>(steps - 1, 0, kWarmUp);
  begin_ = first_step + skipped;
  end_ = std::min(begin_ + kSteps, total_steps);
  if (steps <= kWarmUp)
    warnings.add("profile_warm_up",
                 fmt::format("[profile] {}. Hint: max_steps of at least {}.",
                             steps <= 0 ? "no step is left to profile"
                                        : fmt::format("the run has only {} step{}: warming up is part of the figures",
                                                      steps, steps == 1 ? "" : "s"),
                             first_step + kWarmUp + kSteps));
}

std::unique_ptr<ops::TimeRecorder::Session> StepProfiler::record(int64_t step) {
  if (step < begin_ || step >= end_) return nullptr;
  ++recorded_;
  return std::make_unique<ops::TimeRecorder::Session>(recorder_);
}

void StepProfiler::write(const std::filesystem::path& folder) {
  if (recorded_ == 0) return;
  const ops::TimeRecord record = recorder_.take();
  PeakRates peaks;
  for (const c10::ScalarType dtype : dtypes_of(record)) peaks[dtype] = measure_peak_rate(dtype);
  text_ = profile_text(summarize(record, peaks), peaks, {begin_ + 1, begin_ + recorded_, threads_});
  write_text_file(folder / "profile.txt", text_);
  write_text_file(folder / "profile.json", chrome_trace(record, peaks));
  recorded_ = 0;
}

}  // namespace morex::train
