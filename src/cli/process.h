// The process's signals and memory settings.
#pragma once
#include <atomic>

namespace morex::cli {

// For the program's start: writes to a closed pipe and beyond a file-size limit fail with an error that is reported,
// instead of killing the process; freed memory is kept.
void prepare_process();

// From now on the first SIGINT or SIGTERM sets the returned flag; a second one kills.
const std::atomic<bool>& interrupt_flag();

// Ends what is written to stdout. Throws Error(kRun) when it could not be written.
void finish_stdout();

}  // namespace morex::cli
