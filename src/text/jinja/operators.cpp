#include "text/jinja/operators.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "text/utf8.h"

namespace morex::text::jinja {
namespace {

constexpr int64_t kMaxRepeat = 100'000'000;  // bytes or items that * may make

[[noreturn]] void unsupported_operands(const std::string& op, const Value& a, const Value& b) {
  const std::string shown = op == "**" ? "** or pow()" : op;
  throw Problem("TypeError",
                fmt::format("unsupported operand type(s) for {}: '{}' and '{}'", shown, type_name(a), type_name(b)));
}

[[noreturn]] void too_large() { throw Problem(kUnsupported, "integers of more than 127 bits are not supported"); }

Value power(const Value& a, const Value& b) {
  if (a.is_float() || b.is_float() || b.integer() < 0) {
    if (a.real() == 0 && b.real() < 0) throw Problem("ZeroDivisionError", "0.0 cannot be raised to a negative power");
    return std::pow(a.real(), b.real());
  }
  Integer result = 1;
  const Integer base = a.integer();
  if (base == 0 || base == 1) return b.integer() == 0 ? Integer(1) : base;
  for (Integer i = 0; i < b.integer(); ++i) {
    if (__builtin_mul_overflow(result, base, &result)) too_large();
  }
  return result;
}

Value float_arithmetic(const std::string& op, double a, double b) {
  if (op == "+") return a + b;
  if (op == "-") return a - b;
  if (op == "*") return a * b;
  if (b == 0) {
    throw Problem("ZeroDivisionError", op == "/"   ? "float division by zero"
                                       : op == "%" ? "float modulo"
                                                   : "float floor division by zero");
  }
  if (op == "/") return a / b;
  double remainder = std::fmod(a, b);
  if (remainder != 0 && (remainder < 0) != (b < 0)) remainder += b;
  return op == "%" ? remainder : std::floor((a - remainder) / b + 0.5);
}

Value arithmetic(const std::string& op, const Value& a, const Value& b) {
  if (op == "**") return power(a, b);
  if (a.is_float() || b.is_float()) return float_arithmetic(op, a.real(), b.real());
  const Integer x = a.integer(), y = b.integer();
  Integer result = 0;
  if (op == "+"   ? __builtin_add_overflow(x, y, &result)
      : op == "-" ? __builtin_sub_overflow(x, y, &result)
                  : op == "*" && __builtin_mul_overflow(x, y, &result)) {
    too_large();
  }
  if (op == "+" || op == "-" || op == "*") return result;
  if (y == 0) {
    throw Problem("ZeroDivisionError", op == "/"   ? "division by zero"
                                       : op == "%" ? "integer modulo by zero"
                                                   : "integer division or modulo by zero");
  }
  if (op == "/") return a.real() / b.real();
  const Integer quotient = x / y - (x % y != 0 && (x < 0) != (y < 0) ? 1 : 0);
  return op == "//" ? quotient : x - quotient * y;
}

Value repeat(const Value& sequence, const Value& count) {
  const int64_t times = std::max<int64_t>(0, to_index(count));
  const auto size = static_cast<int64_t>(sequence.is_string() ? sequence.string().size() : sequence.items().size());
  if (size > 0 && times > kMaxRepeat / size) throw Problem("MemoryError", "the result of * is too large");
  if (sequence.is_string()) {
    std::string out;
    for (int64_t i = 0; i < times; ++i) out += sequence.string();
    return out;
  }
  List out;
  for (int64_t i = 0; i < times; ++i) out.insert(out.end(), sequence.items().begin(), sequence.items().end());
  return sequence.is_list() ? Value(std::move(out)) : Value(Tuple{std::move(out)});
}

Value add(const Value& a, const Value& b) {
  if (a.is_string() && b.is_string()) return a.string() + b.string();
  if ((a.is_list() && b.is_list()) || (a.is_tuple() && b.is_tuple())) {
    List out = a.items();
    out.insert(out.end(), b.items().begin(), b.items().end());
    return a.is_list() ? Value(std::move(out)) : Value(Tuple{std::move(out)});
  }
  if (a.is_string() || a.is_sequence()) {
    const std::string name = type_name(a);
    throw Problem("TypeError", fmt::format("can only concatenate {} (not \"{}\") to {}", name, type_name(b), name));
  }
  unsupported_operands("+", a, b);
}

std::string object_name(const Value& value) { return value.is_none() ? "None" : type_name(value) + " object"; }

Undefined no_attribute(const Value& value, const std::string& name) {
  return {"UndefinedError", fmt::format("{} has no attribute {}", repr(std::string_view(object_name(value))),
                                        repr(std::string_view(name)))};
}

// Item `index` of a string, list or tuple; false when there is none.
bool sequence_item(const Value& container, int64_t index, Value& found) {
  if (container.is_string()) {
    const std::u32string characters = to_utf32(container.string());
    if (index < 0) index += static_cast<int64_t>(characters.size());
    if (index < 0 || index >= static_cast<int64_t>(characters.size())) return false;
    std::string character;
    append_utf8(character, characters[static_cast<size_t>(index)]);
    found = std::move(character);
    return true;
  }
  const List& items = container.items();
  if (index < 0) index += static_cast<int64_t>(items.size());
  if (index < 0 || index >= static_cast<int64_t>(items.size())) return false;
  found = items[static_cast<size_t>(index)];
  return true;
}

bool is_internal(const std::string& name) { return name.starts_with("__"); }

}  // namespace

Value binary(const std::string& op, const Value& a, const Value& b) {
  if (op == "%" && a.is_string()) return percent_format(a.string(), b);
  require_defined(a);
  require_defined(b);
  if (a.is_number() && b.is_number()) return arithmetic(op, a, b);
  if (op == "+") return add(a, b);
  if (op == "*" && (a.is_string() || a.is_sequence()) && (b.is_integer() || b.is_bool())) return repeat(a, b);
  if (op == "*" && (b.is_string() || b.is_sequence()) && (a.is_integer() || a.is_bool())) return repeat(b, a);
  unsupported_operands(op, a, b);
}

Value negative(const Value& value) {
  require_defined(value);
  if (value.is_float()) return -value.real();
  if (value.is_number()) return -value.integer();
  throw Problem("TypeError", fmt::format("bad operand type for unary -: '{}'", type_name(value)));
}

bool contains(const Value& container, const Value& item) {
  if (container.is_string()) {
    if (!item.is_string()) {
      require_defined(item);
      throw Problem("TypeError", fmt::format("'in <string>' requires string as left operand, not {}", type_name(item)));
    }
    return container.string().find(item.string()) != std::string::npos;
  }
  if (container.is_dict()) return container.dict().find(item) != nullptr;
  if (container.is_none() || container.is_number() || container.is_function()) {
    throw Problem("TypeError", fmt::format("argument of type '{}' is not iterable", type_name(container)));
  }
  const List items = iterate(container);
  return std::any_of(items.begin(), items.end(), [&](const Value& other) { return equal(other, item); });
}

Value get_item(const Value& container, const Value& index) {
  require_defined(container);
  if (container.is_dict()) {
    if (const Value* found = container.dict().find(index)) return *found;
  } else if ((container.is_string() || container.is_sequence()) && (index.is_integer() || index.is_bool())) {
    Value found;
    if (sequence_item(container, to_index(index), found)) return found;
  }
  if (index.is_string()) {
    if (container.is_object()) {
      const Value* found = container.object()->find(index.string());
      return found != nullptr ? *found : Value(no_attribute(container, index.string()));
    }
    Value method;
    if (find_method(container, index.string(), method)) return method;
    return no_attribute(container, index.string());
  }
  return Undefined{"UndefinedError", fmt::format("{} has no element {}", object_name(container), repr(index))};
}

Value get_attribute(const Value& value, const std::string& name) {
  require_defined(value);
  if (is_internal(name)) {
    return Undefined{"SecurityError",
                     fmt::format("access to attribute {} of {} object is unsafe.", repr(std::string_view(name)),
                                 repr(std::string_view(type_name(value))))};
  }
  if (value.is_object()) {
    const Value* found = value.object()->find(name);
    return found != nullptr ? *found : Value(no_attribute(value, name));
  }
  Value found;
  if (find_method(value, name, found)) return found;
  if (value.is_dict()) {
    if (const Value* item = value.dict().find(std::string_view(name))) return *item;
  }
  return no_attribute(value, name);
}

Value slice(const Value& value, const Value& begin, const Value& end, const Value& step) {
  require_defined(value);
  if (!value.is_string() && !value.is_sequence()) {
    return Undefined{"UndefinedError", fmt::format("{} has no element slice", object_name(value))};
  }
  const std::u32string characters = value.is_string() ? to_utf32(value.string()) : std::u32string();
  const auto size = static_cast<int64_t>(value.is_string() ? characters.size() : value.items().size());
  const int64_t stride = step.is_none() ? 1 : to_index(step);
  if (stride == 0) throw Problem("ValueError", "slice step cannot be zero");
  const auto clamp = [&](const Value& bound, int64_t fallback) {
    if (bound.is_none()) return fallback;
    int64_t at = to_index(bound);
    if (at < 0) at += size;
    return stride > 0 ? std::clamp<int64_t>(at, 0, size) : std::clamp<int64_t>(at, -1, size - 1);
  };
  const int64_t from = clamp(begin, stride > 0 ? 0 : size - 1);
  const int64_t to = clamp(end, stride > 0 ? size : -1);
  List items;
  std::string text;
  for (int64_t at = from; stride > 0 ? at < to : at > to; at += stride) {
    if (value.is_string()) {
      append_utf8(text, characters[static_cast<size_t>(at)]);
    } else {
      items.push_back(value.items()[static_cast<size_t>(at)]);
    }
    if (stride > size || stride < -size) break;  // at += stride could overflow
  }
  if (value.is_string()) return text;
  return value.is_list() ? Value(std::move(items)) : Value(Tuple{std::move(items)});
}

int64_t length_of(const Value& value) {
  if (value.is_undefined()) return 0;
  if (value.is_string()) return static_cast<int64_t>(count_code_points(value.string()));
  if (value.is_sequence()) return static_cast<int64_t>(value.items().size());
  if (value.is_dict()) return static_cast<int64_t>(value.dict().entries.size());
  throw Problem("TypeError", fmt::format("object of type '{}' has no len()", type_name(value)));
}

Value call_value(const Value& callee, const Arguments& arguments) {
  require_defined(callee);
  if (callee.is_function()) return callee.function().call(arguments);
  if (callee.is_object() && callee.object()->call) return callee.object()->call(arguments);
  throw Problem("TypeError", fmt::format("'{}' object is not callable", type_name(callee)));
}

int64_t to_index(const Value& value) {
  require_defined(value);
  if (!value.is_integer() && !value.is_bool()) {
    throw Problem("TypeError", fmt::format("'{}' object cannot be interpreted as an integer", type_name(value)));
  }
  constexpr Integer kLimit = Integer(1) << 60;
  return static_cast<int64_t>(std::clamp<Integer>(value.integer(), -kLimit, kLimit));
}

}  // namespace morex::text::jinja
