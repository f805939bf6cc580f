// Parses a template.
#pragma once
#include <string_view>

#include "text/jinja/ast.h"

namespace morex::text::jinja {

// Throws Problem with the line: TemplateSyntaxError, TemplateAssertionError (an unknown filter or test), or
// kUnsupported for tags, filters and tests that Jinja has and this engine has not.
Template parse(std::string_view source);

}  // namespace morex::text::jinja
