// Python's operators on template values.
#pragma once
#include <string>

#include "text/jinja/value.h"

namespace morex::text::jinja {

// + - * / // % **. Throws Problem (TypeError, ZeroDivisionError, UndefinedError …).
Value binary(const std::string& op, const Value& a, const Value& b);
Value negative(const Value& value);
bool contains(const Value& container, const Value& item);
// container[index]; what is not there is Undefined, as Jinja has it: brackets look for items first, dots for methods.
Value get_item(const Value& container, const Value& index);
Value get_attribute(const Value& value, const std::string& name);
// value[begin:end:step]; None: left out.
Value slice(const Value& value, const Value& begin, const Value& end, const Value& step);
int64_t length_of(const Value& value);
// A method of a string, list, tuple or dict, bound to it; Undefined (with a SecurityError) for those that would change
// it; null when there is none.
bool find_method(const Value& self, const std::string& name, Value& method);
Value call_value(const Value& callee, const Arguments& arguments);
int64_t to_index(const Value& value);  // TypeError unless an integer

// str % values, and str.format(arguments).
std::string percent_format(const std::string& format, const Value& values);
std::string brace_format(const std::string& format, const Arguments& arguments);

}  // namespace morex::text::jinja
