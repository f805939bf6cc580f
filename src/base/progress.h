// A progress line on stderr: redrawn in place on a terminal, a plain line now and then elsewhere.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>

namespace morex {

class Progress {
 public:
  // `what` leads the line; `total` <= 0 means unknown; `before` of it were done by an earlier run, which the ETA leaves
  // out. Quiet prints nothing.
  Progress(std::string what, int64_t total, bool quiet = false, int64_t before = 0);
  ~Progress();  // ends the line
  // Shows "what  done/total  detail  elapsed<eta"; at most ten times a second on a terminal, every 10 s elsewhere.
  void update(int64_t done, const std::string& detail = "");
  void finish();

 private:
  void draw(bool force);
  std::string what_, detail_;
  int64_t total_, before_, done_ = 0;
  bool quiet_, terminal_, finished_ = false;
  std::chrono::steady_clock::time_point start_, last_;
};

}  // namespace morex
