// Python's two ways of formatting: '%s' % values and '{}'.format(values).
#include <fmt/core.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "text/jinja/operators.h"
#include "text/jinja/text_tools.h"
#include "text/utf8.h"

namespace morex::text::jinja {
namespace {

struct Spec {
  std::string fill = " ";
  char align = '\0';  // < > ^ = or none
  char sign = '-';
  bool alternate = false, zero = false, comma = false;
  int64_t width = 0;
  int precision = -1;
  char type = '\0';
};

std::string pad(const std::string& text, const Spec& spec, char default_align) {
  const int64_t missing = spec.width - static_cast<int64_t>(count_code_points(text));
  if (missing <= 0) return text;
  const char align = spec.align != '\0' ? spec.align : default_align;
  const auto filler = [&](int64_t count) {
    std::string out;
    for (int64_t i = 0; i < count; ++i) out += spec.zero && spec.align == '\0' ? "0" : spec.fill;
    return out;
  };
  if ((align == '=' || (spec.zero && spec.align == '\0')) && !text.empty()) {
    const size_t sign = text[0] == '-' || text[0] == '+' || text[0] == ' ' ? 1 : 0;
    return text.substr(0, sign) + filler(missing) + text.substr(sign);
  }
  if (align == '<') return text + filler(missing);
  if (align == '^') return filler(missing / 2) + text + filler(missing - missing / 2);
  return filler(missing) + text;
}

std::string with_sign(const std::string& text, char sign) {
  return sign != '-' && !text.starts_with('-') ? sign + text : text;
}

std::string group_thousands(const std::string& text) {
  size_t end = text.find_first_not_of("0123456789", text.starts_with('-') ? 1 : 0);
  if (end == std::string::npos) end = text.size();
  std::string out = text;
  const size_t first = text.starts_with('-') ? 1 : 0;
  for (size_t at = end; at > first + 3; at -= 3) out.insert(at - 3, ",");
  return out;
}

std::string format_float(double value, const Spec& spec) {
  const char type = spec.type == '\0' ? 'g' : spec.type;
  const double shown = type == '%' ? value * 100 : value;
  char pattern[8];
  std::snprintf(pattern, sizeof pattern, "%%%s.*%c", spec.alternate ? "#" : "", type == '%' ? 'f' : type);
  char buffer[512];
  const int precision = spec.precision < 0 ? 6 : std::min(spec.precision, 100);
  const int written = std::snprintf(buffer, sizeof buffer, pattern, precision, shown);
  if (written < 0 || written >= static_cast<int>(sizeof buffer))
    throw Problem("OverflowError", "the number is too long to print");
  return type == '%' ? std::string(buffer) + "%" : buffer;
}

std::string format_integer(Integer value, char type, bool alternate) {
  if (type == 'd' || type == 'i' || type == 'u' || type == '\0') return integer_text(value);
  const int base = type == 'x' || type == 'X' ? 16 : type == 'o' ? 8 : 2;
  std::string digits;
  Integer rest = value < 0 ? -value : value;
  do {
    digits.push_back("0123456789abcdef"[static_cast<int>(rest % base)]);
    rest /= base;
  } while (rest != 0);
  if (alternate) digits += base == 16 ? "x0" : base == 8 ? "o0" : "b0";
  if (value < 0) digits.push_back('-');
  std::reverse(digits.begin(), digits.end());
  return type == 'X' ? upper(digits) : digits;
}

std::string format_number(const Value& value, const Spec& spec) {
  constexpr std::string_view kFloatTypes = "eEfFgG%";
  const bool as_float =
      kFloatTypes.find(spec.type) != std::string_view::npos || (spec.type == '\0' && value.is_float());
  std::string text;
  if (!as_float) {
    text = format_integer(value.integer(), spec.type, spec.alternate);
  } else if (spec.type == '\0' && spec.precision < 0) {
    text = float_text(value.real());
  } else {
    text = format_float(value.real(), spec);
  }
  if (spec.comma) text = group_thousands(text);
  return pad(with_sign(text, spec.sign), spec, '>');
}

std::string cut(const std::string& text, int precision) {
  if (precision < 0) return text;
  return slice(Value(text), None(), precision, None()).string();
}

std::string convert_percent(char type, Spec spec, const Value& value) {
  if (type == 's' || type == 'r' || type == 'a') {
    spec.zero = false;
    return pad(cut(type == 's' ? to_text(value) : repr(value), spec.precision), spec, '>');
  }
  if (type == 'c')
    return pad(value.is_string() ? value.string() : std::string(1, static_cast<char>(to_index(value))), spec, '>');
  require_defined(value);
  constexpr std::string_view kTypes = "diuxXoeEfFgG";
  if (kTypes.find(type) == std::string_view::npos) {
    throw Problem("ValueError", fmt::format("unsupported format character '{}'", type));
  }
  if (!value.is_number()) {
    throw Problem("TypeError", fmt::format("%{} format: a real number is required, not {}", type, type_name(value)));
  }
  spec.type = type;
  const bool integer = std::string_view("diuxXo").find(type) != std::string_view::npos;
  if (integer && value.is_float()) return format_number(Value(static_cast<Integer>(value.real())), spec);
  return format_number(value, spec);
}

}  // namespace

std::string percent_format(const std::string& format, const Value& values) {
  const List single = {values};
  const List& items = values.is_tuple() ? values.items() : single;
  size_t next_item = 0;
  const auto take = [&]() -> const Value& {
    if (next_item >= items.size()) throw Problem("TypeError", "not enough arguments for format string");
    return items[next_item++];
  };
  std::string out;
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%') {
      out.push_back(format[i]);
      continue;
    }
    const auto at = [&](size_t k) { return k < format.size() ? format[k] : '\0'; };
    if (at(++i) == '%') {
      out.push_back('%');
      continue;
    }
    const Value* value = nullptr;
    if (at(i) == '(') {
      const size_t close = format.find(')', i);
      if (close == std::string::npos) throw Problem("ValueError", "incomplete format key");
      if (!values.is_dict()) throw Problem("TypeError", "format requires a mapping");
      const std::string key = format.substr(i + 1, close - i - 1);
      value = values.dict().find(std::string_view(key));
      if (value == nullptr) throw Problem("KeyError", repr(std::string_view(key)));
      i = close + 1;
    }
    Spec spec;
    for (;; ++i) {
      const char flag = at(i);
      if (flag == '-') {
        spec.align = '<';
      } else if (flag == '0') {
        spec.zero = true;
      } else if (flag == '+' || flag == ' ') {
        spec.sign = flag;
      } else if (flag == '#') {
        spec.alternate = true;
      } else {
        break;
      }
    }
    const auto number = [&] {
      int64_t n = 0;
      if (at(i) == '*') {
        ++i;
        return std::clamp<int64_t>(to_index(take()), 0, 100'000);
      }
      while (at(i) >= '0' && at(i) <= '9') n = std::min<int64_t>(10 * n + (at(i++) - '0'), 100'000);
      return n;
    };
    spec.width = number();
    if (at(i) == '.') {
      ++i;
      spec.precision = static_cast<int>(number());
    }
    if (at(i) == '\0') throw Problem("ValueError", "incomplete format");
    out += convert_percent(at(i), spec, value != nullptr ? *value : take());
  }
  if (next_item < items.size() && !values.is_dict()) {
    throw Problem("TypeError", "not all arguments converted during string formatting");
  }
  return out;
}

namespace {

Spec parse_spec(std::string_view text) {
  Spec spec;
  size_t i = 0;
  const auto is_align = [](char c) { return c == '<' || c == '>' || c == '^' || c == '='; };
  const auto at = [&](size_t k) { return k < text.size() ? text[k] : '\0'; };
  const size_t fill = text.empty() ? 0 : utf8_length(static_cast<unsigned char>(text[0]));
  if (fill > 0 && is_align(at(fill))) {
    spec.fill = text.substr(0, fill);
    spec.align = at(fill);
    i = fill + 1;
  } else if (is_align(at(0))) {
    spec.align = at(i++);
  }
  if (at(i) == '+' || at(i) == '-' || at(i) == ' ') spec.sign = at(i++);
  if (at(i) == '#') spec.alternate = (++i, true);
  if (at(i) == '0') spec.zero = (++i, true);
  const auto number = [&] {
    int64_t n = 0;
    while (at(i) >= '0' && at(i) <= '9') n = std::min<int64_t>(10 * n + (at(i++) - '0'), 100'000);
    return n;
  };
  spec.width = number();
  if (at(i) == ',') spec.comma = (++i, true);
  if (at(i) == '.') {
    ++i;
    spec.precision = static_cast<int>(number());
  }
  if (i < text.size()) spec.type = text[i++];
  if (i != text.size()) throw Problem("ValueError", "Invalid format specifier");
  return spec;
}

std::string format_value(const Value& value, const std::string& spec_text) {
  if (spec_text.empty()) return to_text(value);
  Spec spec = parse_spec(spec_text);
  if (value.is_number() && spec.type != 's' && !(value.is_bool() && spec.type == '\0'))
    return format_number(value, spec);
  if (spec.type != '\0' && spec.type != 's') {
    throw Problem("ValueError",
                  fmt::format("Unknown format code '{}' for object of type '{}'", spec.type, type_name(value)));
  }
  spec.zero = false;
  return pad(cut(to_text(value), spec.precision), spec, '<');
}

// "0", "name", "0.attribute", "name[key]".
Value find_field(const std::string& field, const Arguments& arguments, size_t& automatic) {
  const size_t end = std::min(field.find_first_of(".["), field.size());
  const std::string first = field.substr(0, end);
  Value value;
  if (first.find_first_not_of("0123456789") == std::string::npos) {
    const size_t index = first.empty() ? automatic++ : std::stoul(first.substr(0, 6));
    if (index >= arguments.positional.size()) {
      throw Problem("IndexError", fmt::format("Replacement index {} out of range for positional args tuple", index));
    }
    value = arguments.positional[index];
  } else {
    const Value* found = arguments.find(first);
    if (found == nullptr) throw Problem("KeyError", repr(std::string_view(first)));
    value = *found;
  }
  for (size_t i = end; i < field.size();) {
    const bool dot = field[i] == '.';
    const size_t stop = dot ? std::min(field.find_first_of(".[", i + 1), field.size()) : field.find(']', i);
    if (stop == std::string::npos) throw Problem("ValueError", "Missing ']' in format string");
    const std::string name = field.substr(i + 1, stop - i - 1);
    const bool number = !name.empty() && name.find_first_not_of("0123456789") == std::string::npos;
    value = dot ? get_attribute(value, name)
                : get_item(value, number ? Value(static_cast<int64_t>(std::stoul(name.substr(0, 9)))) : Value(name));
    i = dot ? stop : stop + 1;
  }
  return value;
}

}  // namespace

std::string brace_format(const std::string& format, const Arguments& arguments) {
  std::string out;
  size_t automatic = 0;
  for (size_t i = 0; i < format.size(); ++i) {
    const char c = format[i];
    const bool doubled = i + 1 < format.size() && format[i + 1] == c;
    if (c != '{' && c != '}') {
      out.push_back(c);
    } else if (doubled) {
      out.push_back(c);
      ++i;
    } else if (c == '}') {
      throw Problem("ValueError", "Single '}' encountered in format string");
    } else {
      const size_t close = format.find('}', i);
      if (close == std::string::npos) throw Problem("ValueError", "expected '}' before end of string");
      std::string field = format.substr(i + 1, close - i - 1);
      i = close;
      if (field.find('{') != std::string::npos) throw Problem(kUnsupported, "nested format fields are not supported");
      std::string spec;
      const size_t colon = field.find(':');
      if (colon != std::string::npos) {
        spec = field.substr(colon + 1);
        field.resize(colon);
      }
      char conversion = '\0';
      if (field.size() >= 2 && field[field.size() - 2] == '!') {
        conversion = field.back();
        field.resize(field.size() - 2);
      }
      Value value = find_field(field, arguments, automatic);
      if (conversion == 'r' || conversion == 'a') value = repr(value);
      if (conversion == 's') value = to_text(value);
      out += format_value(value, spec);
    }
  }
  return out;
}

}  // namespace morex::text::jinja
