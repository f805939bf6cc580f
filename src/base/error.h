// What can go wrong for the user, and the exit code of each.
#pragma once
#include <fmt/core.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace morex {

// The values are the program's exit codes.
enum class ErrorKind {
  kRun = 1,          // the run failed: disk full, a file that cannot be written
  kConfig = 2,       // usage, configuration, a refused combination
  kData = 3,         // a dataset or a line of it
  kFormat = 4,       // a model, adapter or tokenizer file
  kMemory = 5,       // out of memory
  kNumeric = 6,      // NaN or infinity
  kDistributed = 7,  // a process group
  kInterrupted = 130,
};

// One line: "[where] what must hold, got X. Hint: what to do."
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const { return kind_; }
  int exit_code() const { return static_cast<int>(kind_); }

 private:
  ErrorKind kind_;
};

// Throws Error; `message` is a fmt format string.
template <typename... Args>
[[noreturn]] void fail(ErrorKind kind, fmt::format_string<Args...> message, Args&&... args) {
  throw Error(kind, fmt::format(message, std::forward<Args>(args)...));
}

// A fault of ours: prints the condition and its place, then aborts.
[[noreturn]] void assertion_failed(const char* condition, const char* file, int line);

}  // namespace morex

// Input that a user can get wrong: MOREX_CHECK(rank > 0, ErrorKind::kConfig, "rank must be positive, got {}", rank).
#define MOREX_CHECK(condition, kind, ...) \
  do {                                    \
    if (!(condition)) [[unlikely]]        \
      ::morex::fail(kind, __VA_ARGS__);   \
  } while (false)

// What only a mistake in morex can break. Always on: every use is outside inner loops.
#define MOREX_ASSERT(condition)                                  \
  do {                                                           \
    if (!(condition)) [[unlikely]]                               \
      ::morex::assertion_failed(#condition, __FILE__, __LINE__); \
  } while (false)
