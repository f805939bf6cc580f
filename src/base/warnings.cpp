#include "base/warnings.h"

#include <cstdio>

#include "base/error.h"

namespace morex {

void Warnings::add(const std::string& key, const std::string& message) {
  if (strict_) fail(ErrorKind::kConfig, "{} (a warning; --strict makes it an error)", message);
  if (++counts_[key] > 1) return;
  messages_[key] = message;
  if (print_) std::fprintf(stderr, "morex: warning: %s\n", message.c_str());
}

}  // namespace morex
