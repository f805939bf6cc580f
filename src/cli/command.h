// What every command gets, and the commands themselves: one file each.
#pragma once
#include <cstdint>
#include <functional>

#include "base/warnings.h"

namespace morex::cli {

class Command;

struct Globals {
  bool verbose = false;          // -v: also print where an error came from
  bool quiet = false;            // -q: no progress
  bool strict = false;           // warnings are errors
  int64_t threads = 0;           // 0: all available cores
  std::function<void()> action;  // set by the chosen command, run after the whole command line is checked

  Warnings make_warnings() const { return Warnings(strict); }
};

void add_train(Command program, Globals& globals);
void add_eval(Command program, Globals& globals);
void add_generate(Command program, Globals& globals);
void add_inspect(Command program, Globals& globals);
void add_merge(Command program, Globals& globals);
void add_convert(Command program, Globals& globals);
void add_tokenize(Command program, Globals& globals);
void add_cluster(Command program, Globals& globals);
void add_doctor(Command program, Globals& globals);

// The parts of `inspect`.
void add_inspect_model(Command inspect, Globals& globals);
void add_inspect_adapter(Command inspect, Globals& globals);
void add_inspect_data(Command inspect, Globals& globals);
void add_inspect_memory(Command inspect, Globals& globals);
void add_inspect_routing(Command inspect, Globals& globals);
void add_inspect_config_reference(Command inspect, Globals& globals);

}  // namespace morex::cli
