#include "text/jinja/sequence_filters.h"

#include <fmt/core.h>

#include <algorithm>
#include <functional>
#include <utility>

#include "base/strings.h"
#include "text/jinja/filters.h"
#include "text/jinja/operators.h"
#include "text/jinja/text_tools.h"

namespace morex::text::jinja {
namespace {

Value given(const Arguments& arguments, size_t index, std::string_view name, Value fallback) {
  const Value* value = arguments.get(index, name);
  return value != nullptr ? *value : std::move(fallback);
}

// The value at a path such as "function.name" or "0.k".
Value at_path(const Value& value, const Value& path) {
  if (!path.is_string()) return get_item(value, path);
  Value found = value;
  for (const std::string& part : split(path.string(), '.')) {
    const bool number = !part.empty() && part.size() < 10 && part.find_first_not_of("0123456789") == std::string::npos;
    found = get_item(found, number ? Value(static_cast<int64_t>(std::stol(part))) : Value(part));
  }
  return found;
}

// What an item is compared by: the value at `attribute` (None: itself), in lower case unless case counts.
Value sort_key(const Value& item, const Value& attribute, bool case_sensitive) {
  Value key = attribute.is_none() ? item : at_path(item, attribute);
  if (!case_sensitive && key.is_string()) return lower(key.string());
  return key;
}

void sort_by(List& items, bool reverse, const std::function<Value(const Value&)>& key_of) {
  std::vector<std::pair<Value, Value>> keyed;
  for (Value& item : items) keyed.emplace_back(key_of(item), std::move(item));
  std::stable_sort(keyed.begin(), keyed.end(), [reverse](const auto& a, const auto& b) {
    return reverse ? compare(b.first, a.first) < 0 : compare(a.first, b.first) < 0;
  });
  for (size_t i = 0; i < items.size(); ++i) items[i] = std::move(keyed[i].second);
}

int64_t positive(const Arguments& arguments, const char* name) {
  const int64_t count = to_index(given(arguments, 0, name, 0));
  if (count <= 0) throw Problem("ValueError", fmt::format("{} must be positive", name));
  return count;
}

}  // namespace

Value batch(const Value& value, const Arguments& arguments) {
  const auto size = static_cast<size_t>(positive(arguments, "linecount"));
  const Value* filler = arguments.get(1, "fill_with");
  List out, line;
  for (const Value& item : iterate(value)) {
    if (line.size() == size) out.emplace_back(std::exchange(line, List()));
    line.push_back(item);
  }
  if (!line.empty()) {
    if (filler != nullptr && !filler->is_none()) line.resize(std::min<size_t>(size, 1'000'000), *filler);
    out.emplace_back(std::move(line));
  }
  return out;
}

Value slice_columns(const Value& value, const Arguments& arguments) {
  const int64_t slices = std::min<int64_t>(positive(arguments, "slices"), 1'000'000);
  const Value* filler = arguments.get(1, "fill_with");
  const List items = iterate(value);
  const auto count = static_cast<int64_t>(items.size());
  const int64_t each = count / slices, longer = count % slices;
  List out;
  int64_t at = 0;
  for (int64_t i = 0; i < slices; ++i) {
    const int64_t size = each + (i < longer ? 1 : 0);
    List column(items.begin() + at, items.begin() + at + size);
    at += size;
    if (filler != nullptr && !filler->is_none() && longer > 0 && i >= longer) column.push_back(*filler);
    out.emplace_back(std::move(column));
  }
  return out;
}

Value dict_items(const Value& value, const Arguments&) {
  if (value.is_undefined()) return List();
  if (!value.is_dict()) throw Problem("TypeError", "Can only get item pairs from a mapping.");
  List out;
  for (const auto& [key, item] : value.dict().entries) out.push_back(Tuple{{key, item}});
  return out;
}

Value sort_dict(const Value& value, const Arguments& arguments) {
  require_defined(value);
  List pairs = iterate(dict_items(value, arguments));
  const bool case_sensitive = truth(given(arguments, 0, "case_sensitive", false));
  const std::string by = to_text(given(arguments, 1, "by", "key"));
  if (by != "key" && by != "value")
    throw Problem("FilterArgumentError", "You can only sort by either \"key\" or \"value\"");
  sort_by(pairs, truth(given(arguments, 2, "reverse", false)),
          [&](const Value& pair) { return sort_key(pair.items()[by == "key" ? 0 : 1], None(), case_sensitive); });
  return pairs;
}

Value first_item(const Value& value, const Arguments&) {
  const List items = iterate(value);
  return items.empty() ? Value(Undefined{"UndefinedError", "No first item, sequence was empty."}) : items.front();
}

Value last_item(const Value& value, const Arguments&) {
  const List items = iterate(value);
  return items.empty() ? Value(Undefined{"UndefinedError", "No last item, sequence was empty."}) : items.back();
}

Value group_by(const Value& value, const Arguments& arguments) {
  const Value* attribute = arguments.get(0, "attribute");
  if (attribute == nullptr) throw Problem("TypeError", "groupby needs an attribute");
  const Value* fallback = arguments.get(1, "default");
  const bool case_sensitive = truth(given(arguments, 2, "case_sensitive", false));
  const auto raw_key = [&](const Value& item) {
    Value key = at_path(item, *attribute);
    return key.is_undefined() && fallback != nullptr ? *fallback : key;
  };
  const auto key_of = [&](const Value& item) { return sort_key(raw_key(item), None(), case_sensitive); };
  List items = iterate(value);
  sort_by(items, false, key_of);
  List out;
  for (size_t begin = 0; begin < items.size();) {
    size_t end = begin;
    List group;
    while (end < items.size() && equal(key_of(items[end]), key_of(items[begin]))) group.push_back(items[end++]);
    out.push_back(Tuple{{raw_key(items[begin]), Value(std::move(group))}});
    begin = end;
  }
  return out;
}

Value join_items(const Value& value, const Arguments& arguments) {
  const std::string separator = to_text(given(arguments, 0, "d", ""));
  const Value attribute = given(arguments, 1, "attribute", None());
  std::string out;
  bool first = true;
  for (const Value& item : iterate(value)) {
    if (!std::exchange(first, false)) out += separator;
    out += to_text(attribute.is_none() ? item : at_path(item, attribute));
  }
  return out;
}

Value map_items(const Value& value, const Arguments& arguments) {
  List out;
  const Value* attribute = arguments.find("attribute");
  if (arguments.positional.empty() && attribute != nullptr) {
    const Value* fallback = arguments.find("default");
    for (const Value& item : iterate(value)) {
      Value found = at_path(item, *attribute);
      out.push_back(found.is_undefined() && fallback != nullptr ? *fallback : std::move(found));
    }
    return out;
  }
  if (arguments.positional.empty()) throw Problem("FilterArgumentError", "map requires a filter argument");
  Arguments rest = arguments;
  const std::string name = to_text(rest.positional.front());
  rest.positional.erase(rest.positional.begin());
  for (const Value& item : iterate(value)) out.push_back(apply_filter(name, item, rest));
  return out;
}

Value select_items(const Value& value, const Arguments& arguments, bool by_attribute, bool keep) {
  Arguments rest = arguments;
  const auto take = [&] {
    Value first = rest.positional.front();
    rest.positional.erase(rest.positional.begin());
    return first;
  };
  if (by_attribute && rest.positional.empty())
    throw Problem("FilterArgumentError", "Missing parameter for attribute name");
  const Value attribute = by_attribute ? take() : Value(None());
  const std::string test = rest.positional.empty() ? "" : to_text(take());
  List out;
  for (const Value& item : iterate(value)) {
    const Value subject = by_attribute ? at_path(item, attribute) : item;
    if ((test.empty() ? truth(subject) : apply_test(test, subject, rest)) == keep) out.push_back(item);
  }
  return out;
}

Value reverse_items(const Value& value, const Arguments&) {
  if (value.is_string()) return slice(value, None(), None(), -1);
  List items = iterate(value);
  std::reverse(items.begin(), items.end());
  return items;
}

Value sort_items(const Value& value, const Arguments& arguments) {
  List items = iterate(value);
  const bool case_sensitive = truth(given(arguments, 1, "case_sensitive", false));
  const Value attribute = given(arguments, 2, "attribute", None());
  std::vector<std::string> paths;
  if (attribute.is_string()) paths = split(attribute.string(), ',');
  sort_by(items, truth(given(arguments, 0, "reverse", false)), [&](const Value& item) -> Value {
    if (paths.size() < 2) return sort_key(item, attribute, case_sensitive);
    Tuple key;
    for (const std::string& path : paths) key.items.push_back(sort_key(item, path, case_sensitive));
    return key;
  });
  return items;
}

Value sum_items(const Value& value, const Arguments& arguments) {
  const Value attribute = given(arguments, 0, "attribute", None());
  Value total = given(arguments, 1, "start", 0);
  for (const Value& item : iterate(value))
    total = binary("+", total, attribute.is_none() ? item : at_path(item, attribute));
  return total;
}

Value unique_items(const Value& value, const Arguments& arguments) {
  const bool case_sensitive = truth(given(arguments, 0, "case_sensitive", false));
  const Value attribute = given(arguments, 1, "attribute", None());
  List out, seen;
  for (const Value& item : iterate(value)) {
    Value key = sort_key(item, attribute, case_sensitive);
    if (std::any_of(seen.begin(), seen.end(), [&](const Value& other) { return equal(other, key); })) continue;
    seen.push_back(std::move(key));
    out.push_back(item);
  }
  return out;
}

Value extreme(const Value& value, const Arguments& arguments, bool largest) {
  const bool case_sensitive = truth(given(arguments, 0, "case_sensitive", false));
  const Value attribute = given(arguments, 1, "attribute", None());
  const List items = iterate(value);
  if (items.empty()) return Undefined{"UndefinedError", "No aggregated item, sequence was empty."};
  size_t best = 0;
  for (size_t i = 1; i < items.size(); ++i) {
    const int order =
        compare(sort_key(items[i], attribute, case_sensitive), sort_key(items[best], attribute, case_sensitive));
    if (largest ? order > 0 : order < 0) best = i;
  }
  return items[best];
}

}  // namespace morex::text::jinja
