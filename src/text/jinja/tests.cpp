// The tests of templates: value is name.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <functional>
#include <map>

#include "text/jinja/filters.h"
#include "text/jinja/operators.h"
#include "text/jinja/text_tools.h"

namespace morex::text::jinja {
namespace {

using Test = std::function<bool(const Value& value, const Arguments& arguments)>;

const Value& argument(const Arguments& arguments) {
  if (arguments.positional.empty()) throw Problem("TypeError", "the test needs an argument");
  return arguments.positional[0];
}

Integer integer_of(const Value& value) {
  require_defined(value);
  if (!value.is_number()) throw Problem("TypeError", fmt::format("a number is needed, not {}", type_name(value)));
  return value.is_float() ? static_cast<Integer>(value.real()) : value.integer();
}

Test ordering(const char* symbol, bool (*holds)(int)) {
  return [symbol, holds](const Value& value, const Arguments& arguments) {
    return holds(compare(value, argument(arguments), symbol));
  };
}

bool is_case(const Value& value, std::string (*change)(std::string_view), std::string (*other)(std::string_view)) {
  const std::string text = to_text(value);
  return change(text) == text && other(text) != text;
}

bool is_divisible(const Value& value, const Arguments& arguments) {
  const Integer by = integer_of(argument(arguments));
  if (by == 0) throw Problem("ZeroDivisionError", "integer modulo by zero");
  return integer_of(value) % by == 0;
}

bool equals(const Value& value, const Arguments& arguments) { return equal(value, argument(arguments)); }
bool differs(const Value& value, const Arguments& arguments) { return !equal(value, argument(arguments)); }

bool is_known_filter(const Value& value, const Arguments&) {
  try {
    require_filter(to_text(value), 0);
    return true;
  } catch (const Problem&) {
    return false;
  }
}

const std::map<std::string, Test>& tests() {
  using V = const Value&;
  using A = const Arguments&;
  const Test lt = ordering("<", [](int c) { return c < 0; }), le = ordering("<=", [](int c) { return c <= 0; });
  const Test gt = ordering(">", [](int c) { return c > 0; }), ge = ordering(">=", [](int c) { return c >= 0; });
  static const std::map<std::string, Test> table = {
      {"defined", [](V v, A) { return !v.is_undefined(); }},
      {"undefined", [](V v, A) { return v.is_undefined(); }},
      {"none", [](V v, A) { return v.is_none(); }},
      {"boolean", [](V v, A) { return v.is_bool(); }},
      {"true", [](V v, A) { return v.is_bool() && v.boolean(); }},
      {"false", [](V v, A) { return v.is_bool() && !v.boolean(); }},
      {"integer", [](V v, A) { return v.is_integer(); }},
      {"float", [](V v, A) { return v.is_float(); }},
      {"number", [](V v, A) { return v.is_number(); }},
      {"string", [](V v, A) { return v.is_string(); }},
      {"mapping", [](V v, A) { return v.is_dict(); }},
      {"sequence", [](V v, A) { return v.is_sequence() || v.is_dict() || v.is_string() || v.is_undefined(); }},
      {"iterable", [](V v, A) { return v.is_sequence() || v.is_dict() || v.is_string() || v.is_undefined(); }},
      {"callable", [](V v, A) { return v.is_function() || (v.is_object() && v.object()->call); }},
      {"sameas", [](V v, A a) { return v.same_as(argument(a)); }},
      {"even", [](V v, A) { return integer_of(v) % 2 == 0; }},
      {"odd", [](V v, A) { return integer_of(v) % 2 != 0; }},
      {"divisibleby", is_divisible},
      {"lower", [](V v, A) { return is_case(v, lower, upper); }},
      {"upper", [](V v, A) { return is_case(v, upper, lower); }},
      {"in", [](V v, A a) { return contains(argument(a), v); }},
      {"eq", equals},
      {"equalto", equals},
      {"==", equals},
      {"ne", differs},
      {"!=", differs},
      {"lt", lt},
      {"lessthan", lt},
      {"<", lt},
      {"le", le},
      {"<=", le},
      {"gt", gt},
      {"greaterthan", gt},
      {">", gt},
      {"ge", ge},
      {">=", ge},
      {"escaped", [](V, A) { return false; }},
      {"filter", is_known_filter},
      {"test", [](V v, A) { return tests().count(to_text(v)) > 0; }},
  };
  return table;
}

}  // namespace

bool apply_test(const std::string& name, const Value& operand, const Arguments& arguments) {
  const auto found = tests().find(name);
  if (found == tests().end()) throw Problem("TemplateRuntimeError", fmt::format("No test named '{}'.", name));
  return found->second(operand, arguments);
}

void require_test(const std::string& name, int line) {
  if (tests().count(name) > 0) return;
  Problem problem("TemplateAssertionError", fmt::format("No test named '{}'.", name));
  problem.line = line;
  throw problem;
}

}  // namespace morex::text::jinja
