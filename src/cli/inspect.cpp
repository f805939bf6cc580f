// morex inspect: looking at models, adapters, data and memory before training.
#include <CLI/CLI.hpp>

#include "cli/command.h"

namespace morex::cli {

void add_inspect(CLI::App& program, Globals& globals) {
  CLI::App* command = program.add_subcommand("inspect", "Look at a model, an adapter, data, or the memory a run needs");
  command->require_subcommand(1);
  command->fallthrough();
  add_inspect_model(*command, globals);
  add_inspect_adapter(*command, globals);
  add_inspect_data(*command, globals);
  add_inspect_memory(*command, globals);
  add_inspect_config_reference(*command, globals);
}

}  // namespace morex::cli
