// The methods of strings, lists, tuples and dicts.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <utility>

#include "text/jinja/operators.h"
#include "text/jinja/text_tools.h"
#include "text/unicode.h"
#include "text/utf8.h"

namespace morex::text::jinja {
namespace {

using Method = std::function<Value(const Value& self, const Arguments& arguments)>;

const std::string& text_argument(const Value& value, const char* method) {
  require_defined(value);
  if (!value.is_string())
    throw Problem("TypeError", fmt::format("{}() argument must be str, not {}", method, type_name(value)));
  return value.string();
}

const Value& required(const Arguments& arguments, size_t index, std::string_view name, const char* method) {
  const Value* value = arguments.get(index, name);
  if (value == nullptr) throw Problem("TypeError", fmt::format("{}() missing argument '{}'", method, name));
  return *value;
}

int64_t limit_argument(const Arguments& arguments, size_t index, std::string_view name) {
  const Value* value = arguments.get(index, name);
  return value == nullptr ? -1 : to_index(*value);
}

List to_values(const std::vector<std::string>& texts) { return List(texts.begin(), texts.end()); }

Method stripping(bool left, bool right) {
  return [left, right](const Value& self, const Arguments& arguments) -> Value {
    const Value* chars = arguments.get(0, "chars");
    if (chars == nullptr || chars->is_none()) return python_strip(self.string(), nullptr, left, right);
    return python_strip(self.string(), &text_argument(*chars, "strip"), left, right);
  };
}

Method mapped(std::string (*change)(std::string_view)) {
  return [change](const Value& self, const Arguments&) -> Value { return change(self.string()); };
}

Method splitting(bool from_right) {
  return [from_right](const Value& self, const Arguments& arguments) -> Value {
    const Value* separator = arguments.get(0, "sep");
    const int64_t limit = limit_argument(arguments, 1, "maxsplit");
    if (separator == nullptr || separator->is_none()) {
      if (from_right && limit >= 0)
        throw Problem(kUnsupported, "rsplit with a limit and no separator is not supported");
      return to_values(split_space(self.string(), limit));
    }
    const std::string& text = text_argument(*separator, "split");
    if (text.empty()) throw Problem("ValueError", "empty separator");
    return to_values(split_text(self.string(), text, limit, from_right));
  };
}

// Where `needle` is in the text, in characters; -1 when it is not.
int64_t find_text(const Value& self, const Arguments& arguments, bool last) {
  const std::string& needle = text_argument(required(arguments, 0, "sub", "find"), "find");
  if (arguments.positional.size() > 1) throw Problem(kUnsupported, "find with bounds is not supported");
  const size_t at = last ? self.string().rfind(needle) : self.string().find(needle);
  if (at == std::string::npos) return -1;
  return static_cast<int64_t>(count_code_points(std::string_view(self.string()).substr(0, at)));
}

Value find_index(const Value& self, const Arguments& arguments) {
  const int64_t at = find_text(self, arguments, false);
  if (at < 0) throw Problem("ValueError", "substring not found");
  return at;
}

Value count_text(const Value& self, const Arguments& arguments) {
  const std::string& needle = text_argument(required(arguments, 0, "sub", "count"), "count");
  if (needle.empty()) return static_cast<int64_t>(count_code_points(self.string())) + 1;
  return static_cast<int64_t>(split_text(self.string(), needle, -1, false).size()) - 1;
}

Method has_end(bool at_start) {
  return [at_start](const Value& self, const Arguments& arguments) -> Value {
    const Value& affix = required(arguments, 0, "prefix", at_start ? "startswith" : "endswith");
    const auto matches = [&](const Value& one) {
      const std::string& text = text_argument(one, at_start ? "startswith" : "endswith");
      return at_start ? self.string().starts_with(text) : self.string().ends_with(text);
    };
    if (affix.is_tuple()) return std::any_of(affix.items().begin(), affix.items().end(), matches);
    return matches(affix);
  };
}

Method without_end(bool at_start) {
  return [at_start](const Value& self, const Arguments& arguments) -> Value {
    const std::string& text = self.string();
    const std::string& affix = text_argument(required(arguments, 0, "affix", "removeprefix"), "removeprefix");
    if (at_start) return text.starts_with(affix) ? text.substr(affix.size()) : text;
    return text.ends_with(affix) ? text.substr(0, text.size() - affix.size()) : text;
  };
}

Value join_text(const Value& self, const Arguments& arguments) {
  std::string out;
  const List items = iterate(required(arguments, 0, "iterable", "join"));
  for (size_t i = 0; i < items.size(); ++i) {
    if (!items[i].is_string()) {
      throw Problem("TypeError",
                    fmt::format("sequence item {}: expected str instance, {} found", i, type_name(items[i])));
    }
    if (i > 0) out += self.string();
    out += items[i].string();
  }
  return out;
}

Value replace(const Value& self, const Arguments& arguments) {
  return replace_text(self.string(), text_argument(required(arguments, 0, "old", "replace"), "replace"),
                      text_argument(required(arguments, 1, "new", "replace"), "replace"),
                      limit_argument(arguments, 2, "count"));
}

Method all_characters(bool (*in_class)(char32_t)) {
  return [in_class](const Value& self, const Arguments&) -> Value {
    const std::u32string text = to_utf32(self.string());
    return !text.empty() && std::all_of(text.begin(), text.end(), in_class);
  };
}

// At least one letter with a case, and none of the other case.
Method in_case(std::string (*change)(std::string_view), std::string (*other)(std::string_view)) {
  return [change, other](const Value& self, const Arguments&) -> Value {
    return change(self.string()) == self.string() && other(self.string()) != self.string();
  };
}

Method padded(int side) {  // -1 text left, 0 centred, 1 text right
  return [side](const Value& self, const Arguments& arguments) -> Value {
    const int64_t width = std::min<int64_t>(to_index(required(arguments, 0, "width", "ljust")), 1'000'000);
    const Value* fill = arguments.get(1, "fillchar");
    const std::string filler = fill == nullptr ? " " : text_argument(*fill, "ljust");
    const int64_t missing = std::max<int64_t>(0, width - length_of(self));
    const int64_t left = side < 0 ? 0 : side > 0 ? missing : missing / 2 + (missing & width & 1);
    std::string out;
    for (int64_t i = 0; i < left; ++i) out += filler;
    out += self.string();
    for (int64_t i = left; i < missing; ++i) out += filler;
    return out;
  };
}

Value zero_filled(const Value& self, const Arguments& arguments) {
  const int64_t width = std::min<int64_t>(to_index(required(arguments, 0, "width", "zfill")), 1'000'000);
  const std::string& text = self.string();
  const size_t sign = text.starts_with('-') || text.starts_with('+') ? 1 : 0;
  const int64_t missing = std::max<int64_t>(0, width - length_of(self));
  return text.substr(0, sign) + std::string(static_cast<size_t>(missing), '0') + text.substr(sign);
}

Method partitioned(bool last) {
  return [last](const Value& self, const Arguments& arguments) -> Value {
    const std::string& separator = text_argument(required(arguments, 0, "sep", "partition"), "partition");
    if (separator.empty()) throw Problem("ValueError", "empty separator");
    const std::vector<std::string> parts = split_text(self.string(), separator, 1, last);
    if (parts.size() == 2) return Tuple{{parts[0], separator, parts[1]}};
    return last ? Tuple{{"", "", self}} : Tuple{{self, "", ""}};
  };
}

const std::map<std::string, Method, std::less<>>& string_methods() {
  static const std::map<std::string, Method, std::less<>> table = {
      {"strip", stripping(true, true)},
      {"lstrip", stripping(true, false)},
      {"rstrip", stripping(false, true)},
      {"upper", mapped(upper)},
      {"lower", mapped(lower)},
      {"title", mapped(title)},
      {"capitalize", mapped(capitalize)},
      {"split", splitting(false)},
      {"rsplit", splitting(true)},
      {"splitlines",
       [](const Value& self, const Arguments&) -> Value { return to_values(split_lines(self.string())); }},
      {"join", join_text},
      {"replace", replace},
      {"find", [](const Value& self, const Arguments& a) -> Value { return find_text(self, a, false); }},
      {"rfind", [](const Value& self, const Arguments& a) -> Value { return find_text(self, a, true); }},
      {"index", find_index},
      {"count", count_text},
      {"startswith", has_end(true)},
      {"endswith", has_end(false)},
      {"removeprefix", without_end(true)},
      {"removesuffix", without_end(false)},
      {"isdigit", all_characters(is_number)},
      {"isnumeric", all_characters(is_number)},
      {"isdecimal", all_characters(is_number)},
      {"isalpha", all_characters(is_letter)},
      {"isalnum", all_characters([](char32_t c) { return is_letter(c) || is_number(c); })},
      {"isspace", all_characters(is_python_space)},
      {"isupper", in_case(upper, lower)},
      {"islower", in_case(lower, upper)},
      {"ljust", padded(-1)},
      {"center", padded(0)},
      {"rjust", padded(1)},
      {"zfill", zero_filled},
      {"partition", partitioned(false)},
      {"rpartition", partitioned(true)},
      {"format", [](const Value& self, const Arguments& a) -> Value { return brace_format(self.string(), a); }},
  };
  return table;
}

// Methods that Python's strings have besides.
constexpr std::array<std::string_view, 12> kUnsupportedStringMethods = {
    "casefold",    "encode",  "expandtabs", "format_map", "isascii",  "isidentifier",
    "isprintable", "istitle", "maketrans",  "rindex",     "swapcase", "translate"};

Value items_of(const Value& self, const Arguments&) {
  List out;
  for (const auto& [key, value] : self.dict().entries) out.push_back(Tuple{{key, value}});
  return out;
}

Value values_of(const Value& self, const Arguments&) {
  List out;
  for (const auto& [key, value] : self.dict().entries) out.push_back(value);
  return out;
}

Value get_from(const Value& self, const Arguments& arguments) {
  const Value* found = self.dict().find(required(arguments, 0, "key", "get"));
  if (found != nullptr) return *found;
  const Value* fallback = arguments.get(1, "default");
  return fallback != nullptr ? *fallback : Value(None());
}

const std::map<std::string, Method, std::less<>>& dict_methods() {
  static const std::map<std::string, Method, std::less<>> table = {
      {"items", items_of},
      {"keys", [](const Value& self, const Arguments&) -> Value { return iterate(self); }},
      {"values", values_of},
      {"get", get_from},
      {"copy", [](const Value& self, const Arguments&) -> Value { return self; }},
  };
  return table;
}

Value index_in(const Value& self, const Arguments& arguments) {
  const Value& wanted = required(arguments, 0, "value", "index");
  const List& items = self.items();
  for (size_t i = 0; i < items.size(); ++i) {
    if (equal(items[i], wanted)) return static_cast<int64_t>(i);
  }
  throw Problem("ValueError", fmt::format("{} is not in list", repr(wanted)));
}

const std::map<std::string, Method, std::less<>>& sequence_methods() {
  static const std::map<std::string, Method, std::less<>> table = {
      {"index", index_in},
      {"count",
       [](const Value& self, const Arguments& arguments) -> Value {
         const Value& wanted = required(arguments, 0, "value", "count");
         return static_cast<int64_t>(std::count_if(self.items().begin(), self.items().end(),
                                                   [&](const Value& item) { return equal(item, wanted); }));
       }},
      {"copy", [](const Value& self, const Arguments&) -> Value { return self; }},
  };
  return table;
}

constexpr std::array<std::string_view, 5> kChangingDict = {"clear", "pop", "popitem", "setdefault", "update"};
constexpr std::array<std::string_view, 8> kChangingList = {"append", "clear",  "extend",  "insert",
                                                           "pop",    "remove", "reverse", "sort"};

template <size_t n>
bool is_one_of(const std::array<std::string_view, n>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

bool find_method(const Value& self, const std::string& name, Value& method) {
  const std::map<std::string, Method, std::less<>>* table = nullptr;
  if (self.is_string()) {
    table = &string_methods();
    if (is_one_of(kUnsupportedStringMethods, name)) {
      throw Problem(kUnsupported, fmt::format("the string method '{}' is not supported", name));
    }
  } else if (self.is_dict()) {
    table = &dict_methods();
  } else if (self.is_sequence()) {
    table = &sequence_methods();
  } else {
    return false;
  }
  if ((self.is_dict() && is_one_of(kChangingDict, name)) || (self.is_list() && is_one_of(kChangingList, name))) {
    method = Undefined{"SecurityError",
                       fmt::format("access to attribute '{}' of '{}' object is unsafe.", name, type_name(self))};
    return true;
  }
  const auto found = table->find(name);
  if (found == table->end()) return false;
  method = Function{name, [self, &call = found->second](const Arguments& arguments) { return call(self, arguments); }};
  return true;
}

}  // namespace morex::text::jinja
