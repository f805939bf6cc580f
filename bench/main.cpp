// The measured half of scripts/bench, one process a case, so that its peak memory is its own. Prints JSON lines:
//   morex_bench shape name=S|M folder=DIR          writes a model of random weights
//   morex_bench step model=M case=C dtype=D …      training steps
//   morex_bench generate model=M dtype=D …         generation of one sequence
//   morex_bench bandwidth                          bytes a second read from memory
//   morex_bench tokenize tokenizer=T text=FILE …   text to ids and back
//   morex_bench job recipe=FILE.json folder=DIR    a recipe's batches and its fresh adapter, for the peer
#include <fmt/core.h>

#include <exception>

#include "base/error.h"
#include "base/strings.h"
#include "base/system.h"
#include "modes.h"
#include "ops/arena_allocator.h"

namespace {

using namespace morex;

struct Mode {
  const char* name;
  void (*run)(const bench::ModeArguments&);
};

constexpr Mode kModes[] = {
    {"shape", bench::make_shape_mode},    {"step", bench::step_mode},         {"generate", bench::generate_mode},
    {"bandwidth", bench::bandwidth_mode}, {"tokenize", bench::tokenize_mode}, {"job", bench::job_mode},
};

void run(int argc, char** argv) {
  std::vector<std::string> names;
  for (const Mode& mode : kModes) {
    if (argc > 1 && std::string(argv[1]) == mode.name) return mode.run({argv + 2, argv + argc});
    names.emplace_back(mode.name);
  }
  fail(ErrorKind::kConfig, "usage: morex_bench {} key=value …", join(names, "|"));
}

}  // namespace

int main(int argc, char** argv) {
  try {
    keep_freed_memory();
    ops::use_arena_allocator();
    run(argc, argv);
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "morex_bench: {}\n", error.what());
    return 1;
  }
}
