// morex inspect: looking at models, adapters, data, memory and routing.
#include "cli/command.h"
#include "cli/options.h"

namespace morex::cli {

void add_inspect(Command program, Globals& globals) {
  Command command =
      program.subcommand("inspect", "Look at a model, an adapter and its routing, data, or the memory a run needs");
  command.require_subcommand();
  command.inherit_options();
  add_inspect_model(command, globals);
  add_inspect_adapter(command, globals);
  add_inspect_data(command, globals);
  add_inspect_memory(command, globals);
  add_inspect_routing(command, globals);
  add_inspect_config_reference(command, globals);
}

}  // namespace morex::cli
