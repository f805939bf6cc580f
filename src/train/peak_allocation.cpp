#include "train/peak_allocation.h"

#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>

#include <algorithm>
#include <memory>

namespace morex::train {
namespace {

class Watch : public c10::MemoryReportingInfoBase {
 public:
  void reportMemoryUsage(void*, int64_t bytes, size_t, size_t, c10::Device) override {
    alive_ += bytes;
    allocation_.peak_bytes = std::max(allocation_.peak_bytes, alive_);
    if (bytes > 0) ++allocation_.calls;
  }
  bool memoryProfilingEnabled() const override { return true; }
  const Allocation& allocation() const { return allocation_; }

 private:
  int64_t alive_ = 0;
  Allocation allocation_;
};

}  // namespace

Allocation watch_allocation(const std::function<void()>& body) {
  const auto watch = std::make_shared<Watch>();
  const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, watch);
  body();
  return watch->allocation();
}

}  // namespace morex::train
