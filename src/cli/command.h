// What every command gets, and the commands themselves: one file each.
#pragma once
#include <cstdint>
#include <functional>

#include "base/warnings.h"

namespace CLI {
class App;
}

namespace morex::cli {

struct Globals {
  bool verbose = false;          // -v: also print where an error came from
  bool quiet = false;            // -q: no progress
  bool strict = false;           // warnings are errors
  int64_t threads = 0;           // 0: all available cores
  std::function<void()> action;  // set by the chosen command, run after the whole command line is checked

  Warnings make_warnings() const { return Warnings(strict); }
};

void add_train(CLI::App& program, Globals& globals);
void add_eval(CLI::App& program, Globals& globals);
void add_generate(CLI::App& program, Globals& globals);
void add_inspect(CLI::App& program, Globals& globals);
void add_merge(CLI::App& program, Globals& globals);
void add_tokenize(CLI::App& program, Globals& globals);
void add_doctor(CLI::App& program, Globals& globals);

// The parts of `inspect`.
void add_inspect_model(CLI::App& inspect, Globals& globals);
void add_inspect_adapter(CLI::App& inspect, Globals& globals);
void add_inspect_data(CLI::App& inspect, Globals& globals);
void add_inspect_memory(CLI::App& inspect, Globals& globals);
void add_inspect_config_reference(CLI::App& inspect, Globals& globals);

}  // namespace morex::cli
