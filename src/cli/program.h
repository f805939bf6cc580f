// The program: subcommands, and what becomes of their errors.
#pragma once

namespace morex::cli {

// Parses the command line, runs the command and returns the exit code. Errors are one line on stderr.
int run_program(int argc, char** argv);

}  // namespace morex::cli
