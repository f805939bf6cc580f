#include "cli/program.h"

int main(int argc, char** argv) { return morex::cli::run_program(argc, argv); }
