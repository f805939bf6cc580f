// Exceptions to one line and an exit code.
#pragma once
#include <exception>
#include <string>

namespace morex::cli {

struct Failure {
  int exit_code = 1;
  std::string message;  // one line, valid UTF-8
  std::string detail;   // what -v adds, may be empty
};

// What the exception in flight means to the user. LibTorch's own errors are 1, or 5 when it ran out of memory.
Failure describe_current_exception();

// The same text on one line: line breaks become spaces, other control characters and invalid UTF-8 are replaced.
std::string single_line(const std::string& text);

}  // namespace morex::cli
