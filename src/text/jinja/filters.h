// Filters (value | name) and tests (value is name).
#pragma once
#include <string>

#include "text/jinja/value.h"

namespace morex::text::jinja {

// The value of `operand | name(arguments)`, and of `operand is name(arguments)`.
Value apply_filter(const std::string& name, const Value& operand, const Arguments& arguments);
bool apply_test(const std::string& name, const Value& operand, const Arguments& arguments);

// Throw Problem with the line: TemplateAssertionError for a name that Jinja does not have, kUnsupported for one that
// only this engine has not.
void require_filter(const std::string& name, int line);
void require_test(const std::string& name, int line);

}  // namespace morex::text::jinja
