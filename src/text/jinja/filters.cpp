#include "text/jinja/filters.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <utility>

#include "text/jinja/operators.h"
#include "text/jinja/sequence_filters.h"
#include "text/jinja/text_tools.h"
#include "text/unicode.h"
#include "text/utf8.h"

namespace morex::text::jinja {
namespace {

using V = const Value&;
using A = const Arguments&;

// An argument, or the fallback when it was not given.
Value given(A arguments, size_t index, std::string_view name, Value fallback) {
  const Value* value = arguments.get(index, name);
  return value != nullptr ? *value : std::move(fallback);
}

std::string given_text(A arguments, size_t index, std::string_view name, const std::string& fallback) {
  return to_text(given(arguments, index, name, fallback));
}

Value absolute(V value, A) {
  require_defined(value);
  if (!value.is_number()) throw Problem("TypeError", fmt::format("bad operand type for abs(): '{}'", type_name(value)));
  if (value.is_float()) return std::abs(value.real());
  return value.integer() < 0 ? -value.integer() : value.integer();
}

Value or_default(V value, A arguments) {
  const bool use = value.is_undefined() || (truth(given(arguments, 1, "boolean", false)) && !truth(value));
  return use ? given(arguments, 0, "default_value", "") : value;
}

// Python's int(text), nothing when it is no number.
bool parse_integer(const std::string& text, int64_t base, Integer& out) {
  std::string digits = python_strip(text, nullptr, true, true);
  const bool minus = digits.starts_with('-');
  if (minus || digits.starts_with('+')) digits.erase(0, 1);
  std::erase(digits, '_');
  if (base == 16 && (digits.starts_with("0x") || digits.starts_with("0X"))) digits.erase(0, 2);
  if (digits.empty() || digits.size() > 30) return false;
  out = 0;
  for (const char c : digits) {
    const int digit = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'z' ? (c | 32) - 'a' + 10 : 99;
    if (digit >= base) return false;
    out = base * out + digit;
  }
  if (minus) out = -out;
  return true;
}

bool parse_float(const std::string& text, double& out) {
  std::string digits = python_strip(text, nullptr, true, true);
  std::erase(digits, '_');
  if (digits.empty() || digits.find_first_of("xXpP") != std::string::npos) return false;
  char* end = nullptr;
  out = std::strtod(digits.c_str(), &end);
  return *end == '\0';
}

Value to_integer(V value, A arguments) {
  const Value fallback = given(arguments, 0, "default", 0);
  double real = 0;
  if (value.is_string()) {
    Integer integer = 0;
    if (parse_integer(value.string(), to_index(given(arguments, 1, "base", 10)), integer)) return integer;
    if (!parse_float(value.string(), real)) return fallback;
  } else if (value.is_number()) {
    if (!value.is_float()) return value.integer();
    real = value.real();
  } else {
    return fallback;
  }
  return std::isfinite(real) && std::abs(real) < 1e36 ? Value(static_cast<Integer>(real)) : fallback;
}

Value to_float(V value, A arguments) {
  const Value fallback = given(arguments, 0, "default", 0.0);
  double real = 0;
  if (value.is_number()) return value.real();
  return value.is_string() && parse_float(value.string(), real) ? Value(real) : fallback;
}

Value rounded(V value, A arguments) {
  require_defined(value);
  const int64_t precision = std::clamp<int64_t>(to_index(given(arguments, 0, "precision", 0)), -300, 300);
  const std::string method = given_text(arguments, 1, "method", "common");
  if (method != "common" && method != "ceil" && method != "floor") {
    throw Problem("FilterArgumentError", "method must be common, ceil or floor");
  }
  if (!value.is_number())
    throw Problem("TypeError", fmt::format("type {} doesn't define __round__ method", type_name(value)));
  if (method != "common") {
    const double scale = std::pow(10.0, static_cast<double>(precision));
    return (method == "ceil" ? std::ceil(value.real() * scale) : std::floor(value.real() * scale)) / scale;
  }
  if (!value.is_float()) {
    if (precision >= 0) return value.integer();
    throw Problem(kUnsupported, "rounding an integer to tens is not supported");
  }
  if (precision < 0) {
    const double scale = std::pow(10.0, static_cast<double>(-precision));
    return std::nearbyint(value.real() / scale) * scale;
  }
  char buffer[700];
  std::snprintf(buffer, sizeof buffer, "%.*f", static_cast<int>(precision), value.real());
  return std::strtod(buffer, nullptr);
}

Value indented(V value, A arguments) {
  const Value width = given(arguments, 0, "width", 4);
  const std::string indent =
      width.is_string() ? width.string()
                        : std::string(static_cast<size_t>(std::clamp<int64_t>(to_index(width), 0, 10'000)), ' ');
  const bool first = truth(given(arguments, 1, "first", false)), blank = truth(given(arguments, 2, "blank", false));
  const std::vector<std::string> lines = split_lines(to_text(value) + "\n");
  std::string out = first ? indent : "";
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) out += (blank || !lines[i].empty()) ? "\n" + indent : "\n";
    out += lines[i];
  }
  return out;
}

Value title_words(V value, A) {
  // Every part after a blank, -, or an opening bracket begins with a capital.
  std::string out, word;
  const auto flush = [&] {
    if (word.empty()) return;
    const uint32_t length = utf8_length(static_cast<unsigned char>(word[0]));
    out += upper(std::string_view(word).substr(0, length)) + lower(std::string_view(word).substr(length));
    word.clear();
  };
  const std::string text = to_text(value);
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = decode_code_point(text, at);
    const bool separates =
        is_python_space(point.code) ||
        (point.code < 0x80 && std::string_view("-({[<").find(static_cast<char>(point.code)) != std::string_view::npos);
    if (separates) flush();
    (separates ? out : word) += text.substr(at, point.length);
    at += point.length;
  }
  flush();
  return out;
}

Value trimmed(V value, A arguments) {
  const Value chars = given(arguments, 0, "chars", None());
  const std::string text = to_text(value);
  if (chars.is_none()) return python_strip(text, nullptr, true, true);
  const std::string set = to_text(chars);
  return python_strip(text, &set, true, true);
}

Value truncated(V value, A arguments) {
  const std::string text = to_text(value);
  const int64_t length = to_index(given(arguments, 0, "length", 255));
  const bool kill_words = truth(given(arguments, 1, "killwords", false));
  const std::string end = given_text(arguments, 2, "end", "...");
  const Value leeway = given(arguments, 3, "leeway", None());
  const std::u32string characters = to_utf32(text);
  if (static_cast<int64_t>(characters.size()) <= length + (leeway.is_none() ? 5 : to_index(leeway))) return text;
  const int64_t kept = length - static_cast<int64_t>(count_code_points(end));
  if (kept < 0)
    throw Problem("AssertionError", fmt::format("expected length >= {}, got {}", count_code_points(end), length));
  const std::string head = slice(Value(text), None(), Value(kept), None()).string();
  if (kill_words) return head + end;
  return head.substr(0, std::min(head.rfind(' '), head.size())) + end;
}

Value word_count(V value, A) {
  int64_t count = 0;
  bool inside = false;
  for (const char32_t code : to_utf32(to_text(value))) {
    const bool word = is_word(code);
    count += word && !inside ? 1 : 0;
    inside = word;
  }
  return count;
}

Value to_json(V value, A arguments) {
  JsonStyle style;
  style.ascii = truth(given(arguments, 0, "ensure_ascii", false));
  style.sort_keys = truth(given(arguments, 3, "sort_keys", false));
  const Value indent = given(arguments, 1, "indent", None());
  if (!indent.is_none()) {
    style.lines = true;
    style.item_separator = ",";
    style.indent = indent.is_string()
                       ? indent.string()
                       : std::string(static_cast<size_t>(std::clamp<int64_t>(to_index(indent), 0, 1000)), ' ');
  }
  const Value separators = given(arguments, 2, "separators", None());
  if (!separators.is_none()) {
    const List pair = iterate(separators);
    if (pair.size() != 2) throw Problem("ValueError", "separators must be two texts");
    style.item_separator = to_text(pair[0]);
    style.key_separator = to_text(pair[1]);
  }
  return to_json_text(value, style);
}

Value url_encoded(V value, A) {
  if (!value.is_dict()) return url_quote(to_text(value));
  std::string out;
  for (const auto& [key, item] : value.dict().entries) {
    out += (out.empty() ? "" : "&") + url_quote(to_text(key)) + "=" + url_quote(to_text(item));
  }
  return out;
}

Value xml_attributes(V value, A arguments) {
  if (!value.is_dict()) throw Problem("TypeError", "xmlattr needs a mapping");
  std::string out;
  for (const auto& [key, item] : value.dict().entries) {
    if (item.is_none() || item.is_undefined()) continue;
    const std::string name = to_text(key);
    if (name.find_first_of(" \t\n\f\r/>=") != std::string::npos) {
      throw Problem("ValueError", fmt::format("Invalid character in attribute name: {}", repr(std::string_view(name))));
    }
    out += (out.empty() ? "" : " ") + escape_html(name) + "=\"" + escape_html(to_text(item)) + "\"";
  }
  return truth(given(arguments, 0, "autospace", true)) && !out.empty() ? " " + out : out;
}

// A value with the keys of its dicts sorted, as pprint shows them.
Value with_sorted_keys(V value) {
  if (value.is_list() || value.is_tuple()) {
    List items;
    for (const Value& item : value.items()) items.push_back(with_sorted_keys(item));
    return value.is_list() ? Value(std::move(items)) : Value(Tuple{std::move(items)});
  }
  if (!value.is_dict()) return value;
  Dict dict;
  for (const auto& [key, item] : value.dict().entries) dict.entries.emplace_back(key, with_sorted_keys(item));
  std::stable_sort(dict.entries.begin(), dict.entries.end(),
                   [](const auto& a, const auto& b) { return compare(a.first, b.first) < 0; });
  return dict;
}

Value pretty(V value, A) {
  std::string out = repr(with_sorted_keys(value));
  if (count_code_points(out) > 80) throw Problem(kUnsupported, "pprint of values longer than a line is not supported");
  return out;
}

Value formatted(V value, A arguments) {
  if (arguments.named.empty()) return percent_format(to_text(value), Tuple{arguments.positional});
  Dict dict;
  for (const auto& [name, item] : arguments.named) dict.set(name, item);
  return percent_format(to_text(value), dict);
}

Value replaced(V value, A arguments) {
  if (arguments.positional.size() < 2) throw Problem("TypeError", "replace needs two texts");
  const Value count = given(arguments, 2, "count", None());
  return replace_text(to_text(value), to_text(arguments.positional[0]), to_text(arguments.positional[1]),
                      count.is_none() ? -1 : to_index(count));
}

Value centred(V value, A arguments) {
  Arguments width;
  width.positional.push_back(given(arguments, 0, "width", 80));
  return call_value(get_attribute(to_text(value), "center"), width);
}

Value attribute_of(V value, A arguments) {
  if (arguments.positional.empty()) throw Problem("TypeError", "attr needs a name");
  const std::string name = to_text(arguments.positional[0]);
  Value found;
  if (!value.is_dict()) return get_attribute(value, name);
  return find_method(value, name, found) ? found : get_attribute(Dict(), name);
}

using Filter = std::function<Value(V, A)>;

const std::map<std::string, Filter>& filters() {
  const Filter length = [](V v, A) -> Value { return length_of(v); };
  const Filter escape = [](V v, A) -> Value { return escape_html(to_text(v)); };
  static const std::map<std::string, Filter> table = {
      {"abs", absolute},
      {"attr", attribute_of},
      {"batch", batch},
      {"capitalize", [](V v, A) -> Value { return capitalize(to_text(v)); }},
      {"center", centred},
      {"count", length},
      {"d", or_default},
      {"default", or_default},
      {"dictsort", sort_dict},
      {"e", escape},
      {"escape", escape},
      {"first", first_item},
      {"float", to_float},
      {"forceescape", escape},
      {"format", formatted},
      {"groupby", group_by},
      {"indent", indented},
      {"int", to_integer},
      {"items", dict_items},
      {"join", join_items},
      {"last", last_item},
      {"length", length},
      {"list", [](V v, A) -> Value { return iterate(v); }},
      {"lower", [](V v, A) -> Value { return lower(to_text(v)); }},
      {"map", map_items},
      {"max", [](V v, A a) -> Value { return extreme(v, a, true); }},
      {"min", [](V v, A a) -> Value { return extreme(v, a, false); }},
      {"pprint", pretty},
      {"reject", [](V v, A a) -> Value { return select_items(v, a, false, false); }},
      {"rejectattr", [](V v, A a) -> Value { return select_items(v, a, true, false); }},
      {"replace", replaced},
      {"reverse", reverse_items},
      {"round", rounded},
      {"safe", [](V v, A) -> Value { return to_text(v); }},
      {"select", [](V v, A a) -> Value { return select_items(v, a, false, true); }},
      {"selectattr", [](V v, A a) -> Value { return select_items(v, a, true, true); }},
      {"slice", slice_columns},
      {"sort", sort_items},
      {"string", [](V v, A) -> Value { return to_text(v); }},
      {"sum", sum_items},
      {"title", title_words},
      {"tojson", to_json},
      {"trim", trimmed},
      {"truncate", truncated},
      {"unique", unique_items},
      {"upper", [](V v, A) -> Value { return upper(to_text(v)); }},
      {"urlencode", url_encoded},
      {"wordcount", word_count},
      {"xmlattr", xml_attributes},
  };
  return table;
}

constexpr std::array<std::string_view, 5> kUnsupportedFilters = {"filesizeformat", "random", "striptags", "urlize",
                                                                 "wordwrap"};

}  // namespace

Value apply_filter(const std::string& name, const Value& operand, const Arguments& arguments) {
  const auto found = filters().find(name);
  if (found == filters().end()) {
    require_filter(name, 0);
  }
  return found->second(operand, arguments);
}

void require_filter(const std::string& name, int line) {
  if (filters().count(name) > 0) return;
  const bool known =
      std::find(kUnsupportedFilters.begin(), kUnsupportedFilters.end(), name) != kUnsupportedFilters.end();
  Problem problem = known ? Problem(kUnsupported, fmt::format("the filter '{}' is not supported", name))
                          : Problem("TemplateAssertionError", fmt::format("No filter named '{}'.", name));
  problem.line = line;
  throw problem;
}

}  // namespace morex::text::jinja
