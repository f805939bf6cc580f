#include "base/progress.h"

#include <fmt/core.h>
#include <unistd.h>

#include <cstdio>

#include "base/strings.h"

namespace morex {

Progress::Progress(std::string what, int64_t total, bool quiet, int64_t before)
    : what_(std::move(what)),
      total_(total),
      before_(before),
      quiet_(quiet),
      terminal_(isatty(STDERR_FILENO) == 1),
      start_(std::chrono::steady_clock::now()),
      last_(start_) {}

Progress::~Progress() { finish(); }

void Progress::update(int64_t done, const std::string& detail) {
  done_ = done;
  detail_ = detail;
  const auto now = std::chrono::steady_clock::now();
  const std::chrono::duration<double> since = now - last_;
  if (since.count() < (terminal_ ? 0.1 : 10.0)) return;
  last_ = now;
  draw(false);
}

void Progress::finish() {
  if (finished_) return;
  finished_ = true;
  draw(true);
}

void Progress::draw(bool last) {
  if (quiet_) return;
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start_;
  std::string line = total_ > 0 ? fmt::format("{}  {}/{}", what_, done_, total_) : fmt::format("{}  {}", what_, done_);
  if (!detail_.empty()) line += "  " + detail_;
  line += "  " + format_duration(elapsed.count());
  const int64_t here = done_ - before_;
  if (!last && total_ > 0 && here > 0)
    line += "<" + format_duration(elapsed.count() / static_cast<double>(here) * static_cast<double>(total_ - done_));
  if (terminal_) {
    std::fprintf(stderr, "\r\x1b[K%s%s", line.c_str(), last ? "\n" : "");
  } else {
    std::fprintf(stderr, "%s\n", line.c_str());
  }
  std::fflush(stderr);
}

}  // namespace morex
