#include "base/error.h"

#include <cstdio>
#include <cstdlib>

namespace morex {

void assertion_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "morex: internal error: %s does not hold (%s:%d). Please report this.\n", condition, file, line);
  std::abort();
}

}  // namespace morex
