#include "cli/process.h"

#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/error.h"
#include "base/system.h"
#include "ops/arena_allocator.h"

namespace morex::cli {

namespace {

std::atomic<bool> interrupted{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may only touch lock-free atomics");

extern "C" void on_interrupt(int) { interrupted.store(true); }

void handle(int signal_number) {
  struct sigaction action = {};
  action.sa_handler = on_interrupt;
  // Reset: the second signal meets the default action and kills. Restart: the step in progress is not disturbed.
  action.sa_flags = static_cast<int>(SA_RESETHAND) | SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(signal_number, &action, nullptr);
}

}  // namespace

void prepare_process() {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  keep_freed_memory();
  ops::use_arena_allocator();
}

void bound_spinning(char** argv) {
  if (std::getenv("GOMP_SPINCOUNT") != nullptr || std::getenv("OMP_WAIT_POLICY") != nullptr) return;
  // A few µs: longer than the gaps between the operations of a step, far shorter than a time slice.
  setenv("GOMP_SPINCOUNT", "5000", 1);
  execv("/proc/self/exe", argv);  // comes back only where /proc is not there: then the default stays
}

const std::atomic<bool>& interrupt_flag() {
  handle(SIGINT);
  handle(SIGTERM);
  return interrupted;
}

void finish_stdout() {
  const int failed = std::fflush(stdout);
  const int reason = errno;
  MOREX_CHECK(failed == 0 && std::ferror(stdout) == 0, ErrorKind::kRun, "cannot write to standard output: {}",
              std::strerror(reason));
}

}  // namespace morex::cli
