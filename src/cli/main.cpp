#include "cli/process.h"
#include "cli/program.h"

int main(int argc, char** argv) {
  morex::cli::bound_spinning(argv);
  return morex::cli::run_program(argc, argv);
}
