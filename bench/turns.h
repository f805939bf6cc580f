// Work that is timed in turns with other processes: whoever runs the suite says through stdin when.
#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "base/json.h"

namespace morex::bench {

// Milliseconds by the clock and of processor time (all threads) of each repetition.
struct Timed {
  std::vector<double> ms, cpu_ms;
};
Timed time_each(int64_t repetitions, const std::function<void()>& work);

// With `in_turns`: prints `facts` as one JSON line, then for each line "N" of stdin the line that `turn(N)` returns,
// and at its end {"rss_mb": peak resident memory}. Otherwise one turn of `repetitions` and one line with all of it, the
// medians in place of the lists.
void run_turns(Json facts, bool in_turns, int64_t repetitions, const std::function<Json(int64_t)>& turn);

}  // namespace morex::bench
