// Runs a parsed template.
#pragma once
#include <ctime>
#include <string>
#include <utility>
#include <vector>

#include "text/jinja/ast.h"

namespace morex::text::jinja {

struct Rendered {
  std::string text;
  std::vector<std::pair<size_t, size_t>> generation_spans;  // bytes [begin, end) of {% generation %} blocks
};

// `variables`: the names the template starts with; `now`: what strftime_now shows. Throws Problem with the line.
Rendered render(const Template& parsed, const Dict& variables, const std::tm& now);

}  // namespace morex::text::jinja
