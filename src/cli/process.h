// The process's signals and memory settings.
#pragma once
#include <atomic>

namespace morex::cli {

// For the program's start: writes to a closed pipe and beyond a file-size limit fail with an error that is reported,
// instead of killing the process; freed memory is kept.
void prepare_process();

// Starts the program again with a bound on how long idle threads spin, unless the user has set one. The thread library
// reads it only when it is loaded, and its default (milliseconds) makes every parallel region wait for its turn where
// other work shares the processors: a hundred times slower there. Returns when nothing had to be done.
void bound_spinning(char** argv);

// From now on the first SIGINT or SIGTERM sets the returned flag; a second one kills.
const std::atomic<bool>& interrupt_flag();

// Ends what is written to stdout. Throws Error(kRun) when it could not be written.
void finish_stdout();

}  // namespace morex::cli
