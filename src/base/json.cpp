#include "base/json.h"

#include "base/files.h"
#include "base/strings.h"

namespace morex {
namespace {

// Deeper nesting than any real file has would exhaust the stack of the recursive parser.
constexpr int64_t kMaxDepth = 500;

void check_depth(std::string_view text, const std::string& where, ErrorKind kind) {
  int64_t depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      MOREX_CHECK(++depth <= kMaxDepth, kind, "[{}] JSON must nest at most {} levels deep", where, kMaxDepth);
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
}

template <typename J>
J parse(std::string_view text, const std::string& where, ErrorKind kind) {
  check_depth(text, where, kind);
  try {
    return J::parse(text.begin(), text.end());
  } catch (const nlohmann::json::exception& error) {
    std::string reason = error.what();
    const size_t bracket = reason.find("] ");
    if (bracket != std::string::npos) reason = reason.substr(bracket + 2);
    fail(kind, "[{}] must be valid JSON: {}", where, reason);
  }
}

std::string type_of(const Json& value) {
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() > 60) text = text.substr(0, 57) + "…";
  return fmt::format("{} {}", value.type_name(), text);
}

template <typename T>
struct Converter;

template <>
struct Converter<bool> {
  static constexpr const char* kName = "true or false";
  static std::optional<bool> convert(const Json& value) {
    if (!value.is_boolean()) return std::nullopt;
    return value.get<bool>();
  }
};
template <>
struct Converter<int64_t> {
  static constexpr const char* kName = "an integer";
  static std::optional<int64_t> convert(const Json& value) {
    if (value.is_number_unsigned() && value.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX)) return std::nullopt;
    if (value.is_number_integer()) return value.get<int64_t>();
    if (value.is_number_float()) {  // 1e3 and 5.0 are integers to everybody but a parser
      const double number = value.get<double>();
      if (number >= -9e15 && number <= 9e15 && number == static_cast<double>(static_cast<int64_t>(number)))
        return static_cast<int64_t>(number);
    }
    return std::nullopt;
  }
};
template <>
struct Converter<double> {
  static constexpr const char* kName = "a number";
  static std::optional<double> convert(const Json& value) {
    if (!value.is_number()) return std::nullopt;
    return value.get<double>();
  }
};
template <>
struct Converter<std::string> {
  static constexpr const char* kName = "a string";
  static std::optional<std::string> convert(const Json& value) {
    if (!value.is_string()) return std::nullopt;
    return value.get<std::string>();
  }
};
template <typename T>
struct Converter<std::vector<T>> {
  static constexpr const char* kName = "a list";
  static std::optional<std::vector<T>> convert(const Json& value) {
    if (!value.is_array()) return std::nullopt;
    std::vector<T> items;
    for (const Json& element : value) {
      std::optional<T> item = Converter<T>::convert(element);
      if (!item) return std::nullopt;
      items.push_back(std::move(*item));
    }
    return items;
  }
};

}  // namespace

Json parse_json(std::string_view text, const std::string& where, ErrorKind kind) {
  return parse<Json>(text, where, kind);
}

Json read_json_file(const std::filesystem::path& path, ErrorKind kind) {
  return parse<Json>(read_text_file(path, kind), path.string(), kind);
}

OrderedJson read_ordered_json_file(const std::filesystem::path& path, ErrorKind kind) {
  return parse<OrderedJson>(read_text_file(path, kind), path.string(), kind);
}

JsonReader::JsonReader(const Json& object, std::string where, ErrorKind kind)
    : object_(&object), where_(std::move(where)), kind_(kind) {
  MOREX_CHECK(object.is_object(), kind, "[{}] must be a JSON object, got {}", where_, type_of(object));
}

bool JsonReader::has(std::string_view key) const { return !raw(key).is_null(); }

const Json& JsonReader::raw(std::string_view key) const {
  static const Json null;
  const auto found = object_->find(std::string(key));
  return found == object_->end() ? null : *found;
}

template <typename T>
std::optional<T> JsonReader::find(std::string_view key) const {
  const Json& value = raw(key);
  if (value.is_null()) return std::nullopt;
  std::optional<T> converted = Converter<T>::convert(value);
  MOREX_CHECK(converted.has_value(), kind_, "[{}] {} must be {}, got {}", where_, key, Converter<T>::kName,
              type_of(value));
  return converted;
}

template <typename T>
T JsonReader::get(std::string_view key) const {
  std::optional<T> value = find<T>(key);
  MOREX_CHECK(value.has_value(), kind_, "[{}] {} is missing, it must be {}", where_, key, Converter<T>::kName);
  return std::move(*value);
}

template <typename T>
T JsonReader::get_or(std::string_view key, T fallback) const {
  std::optional<T> value = find<T>(key);
  return value ? std::move(*value) : std::move(fallback);
}

void JsonReader::refuse_unknown_keys(const std::vector<std::string>& known) const {
  for (const auto& [key, value] : object_->items()) {
    if (std::find(known.begin(), known.end(), key) == known.end())
      fail(kind_, "[{}] unknown key '{}'.{}", where_, key, did_you_mean(key, known));
  }
}

#define MOREX_JSON_TYPE(T)                                     \
  template T JsonReader::get<T>(std::string_view) const;       \
  template T JsonReader::get_or<T>(std::string_view, T) const; \
  template std::optional<T> JsonReader::find<T>(std::string_view) const
MOREX_JSON_TYPE(bool);
MOREX_JSON_TYPE(int64_t);
MOREX_JSON_TYPE(double);
MOREX_JSON_TYPE(std::string);
MOREX_JSON_TYPE(std::vector<bool>);
MOREX_JSON_TYPE(std::vector<int64_t>);
MOREX_JSON_TYPE(std::vector<double>);
MOREX_JSON_TYPE(std::vector<std::string>);
#undef MOREX_JSON_TYPE

}  // namespace morex
