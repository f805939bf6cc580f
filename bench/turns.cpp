#include "turns.h"

#include <fmt/core.h>

#include <chrono>
#include <ctime>
#include <iostream>
#include <string>

#include "base/system.h"
#include "train/tax.h"

namespace morex::bench {
namespace {

void print_line(const Json& line) {
  fmt::print("{}\n", line.dump());
  std::fflush(stdout);
}

}  // namespace

Timed time_each(int64_t repetitions, const std::function<void()>& work) {
  Timed timed;
  for (int64_t i = 0; i < repetitions; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    const std::clock_t cpu = std::clock();
    work();
    timed.cpu_ms.push_back(1000.0 * static_cast<double>(std::clock() - cpu) / CLOCKS_PER_SEC);
    timed.ms.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count());
  }
  return timed;
}

void run_turns(Json facts, bool in_turns, int64_t repetitions, const std::function<Json(int64_t)>& turn) {
  const auto rss_mb = [] { return static_cast<double>(peak_rss_bytes()) / 1e6; };
  if (!in_turns) {
    const Json timed = repetitions > 0 ? turn(repetitions) : Json::object();
    for (const auto& [key, value] : timed.items())
      facts[key] = value.is_array() ? Json(train::spread_of(value.get<std::vector<double>>()).median) : value;
    facts["rss_mb"] = rss_mb();
    print_line(facts);
    return;
  }
  print_line(facts);
  for (std::string line; std::getline(std::cin, line);) print_line(turn(std::stoll(line)));
  print_line({{"rss_mb", rss_mb()}});
}

}  // namespace morex::bench
