#include "cli/yaml.h"

#include <yaml-cpp/yaml.h>

#include <charconv>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <iterator>
#include <limits>
#include <optional>
#include <regex>

#include "base/error.h"
#include "base/files.h"
#include "base/strings.h"

namespace morex::cli {

namespace {

constexpr int kMaxDepth = 64;
constexpr int64_t kMaxNodes = 1'000'000;  // aliases can multiply a small file without end

bool is_one_of(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

class Converter {
 public:
  explicit Converter(std::string where) : where_(std::move(where)) {}

  Json convert(const YAML::Node& node, int depth = 0) {
    MOREX_CHECK(depth < kMaxDepth && ++nodes_ < kMaxNodes, ErrorKind::kConfig,
                "{}: the YAML must not be nested deeper than {} levels or hold more than {} values", place(node),
                kMaxDepth, kMaxNodes);
    switch (node.Type()) {
      case YAML::NodeType::Map:
        return map(node, depth);
      case YAML::NodeType::Sequence: {
        Json list = Json::array();
        for (const YAML::Node& item : node) list.push_back(convert(item, depth + 1));
        return list;
      }
      case YAML::NodeType::Scalar:
        return scalar(node);
      case YAML::NodeType::Null:
      case YAML::NodeType::Undefined:
        break;
    }
    return nullptr;
  }

 private:
  std::string place(const YAML::Node& node) const {
    const YAML::Mark mark = node.Mark();
    return mark.is_null() ? where_ : fmt::format("{}:{}", where_, mark.line + 1);
  }

  template <typename... Args>
  [[noreturn]] void refuse(const YAML::Node& node, fmt::format_string<Args...> message, Args&&... args) const {
    fail(ErrorKind::kConfig, "{}: {}", place(node), fmt::format(message, std::forward<Args>(args)...));
  }

  Json map(const YAML::Node& node, int depth) {
    Json object = Json::object();
    for (const auto& entry : node) {
      if (!entry.first.IsScalar()) refuse(entry.first, "a key must be a plain word");
      const std::string& key = entry.first.Scalar();
      if (object.contains(key)) refuse(entry.first, "the key '{}' stands twice", key);
      object[key] = convert(entry.second, depth + 1);
    }
    return object;
  }

  Json scalar(const YAML::Node& node) const {
    const std::string& text = node.Scalar();
    const std::string& tag = node.Tag();
    if (tag == "!" || tag == "tag:yaml.org,2002:str") return text;  // quoted
    if (tag != "?" && !tag.empty()) refuse(node, "the tag '{}' is not supported", tag);
    if (is_one_of(text, {"", "~", "null", "Null", "NULL"})) return nullptr;
    if (is_one_of(text, {"true", "True", "TRUE"})) return true;
    if (is_one_of(text, {"false", "False", "FALSE"})) return false;
    if (is_one_of(text, {"yes", "Yes", "YES", "no", "No", "NO", "on", "On", "ON", "off", "Off", "OFF"})) {
      refuse(node,
             "'{}' is a truth value to some YAML readers and text to others. Hint: write true or false, or \"{}\"",
             text, text);
    }
    if (const auto integer = whole_number(node, text)) return *integer;
    if (const auto real = decimal_number(node, text)) return *real;
    return text;
  }

  std::optional<int64_t> whole_number(const YAML::Node& node, const std::string& text) const {
    static const std::regex kOctalOf11("[-+]?0[0-9]+"), kDecimal("[-+]?[0-9]+"), kOctal("0o[0-7]+"),
        kHexadecimal("0x[0-9a-fA-F]+");
    if (std::regex_match(text, kOctalOf11)) {
      refuse(node, "'{}' is octal to some YAML readers. Hint: drop the leading zeros, or put it in quotes", text);
    }
    int base = 0;
    size_t skip = 0;
    if (std::regex_match(text, kDecimal)) {
      base = 10;
      skip = text[0] == '+' ? 1 : 0;
    } else if (std::regex_match(text, kOctal) || std::regex_match(text, kHexadecimal)) {
      base = text[1] == 'o' ? 8 : 16;
      skip = 2;
    } else {
      return std::nullopt;
    }
    int64_t value = 0;
    const auto result = std::from_chars(text.data() + skip, text.data() + text.size(), value, base);
    if (result.ec != std::errc()) refuse(node, "the number '{}' does not fit into 64 bits", text);
    return value;
  }

  std::optional<double> decimal_number(const YAML::Node& node, const std::string& text) const {
    static const std::regex kFloat(R"([-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?)");
    static const std::regex kInfinity(R"([-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))");
    if (std::regex_match(text, kInfinity)) refuse(node, "a number must be finite, got '{}'", text);
    if (!std::regex_match(text, kFloat)) return std::nullopt;
    double value = 0;
    const size_t skip = text[0] == '+' ? 1 : 0;
    const auto result = std::from_chars(text.data() + skip, text.data() + text.size(), value);
    if (result.ec != std::errc() || !std::isfinite(value)) refuse(node, "the number '{}' is out of range", text);
    return value;
  }

  std::string where_;
  int64_t nodes_ = 0;
};

// The place that `path` names in `recipe`, made on the way.
Json& descend(Json& recipe, const std::string& path, const std::string& override_text) {
  Json* place = &recipe;
  for (const std::string& part : split(path, '.')) {
    MOREX_CHECK(!part.empty(), ErrorKind::kConfig, "[{}] a key must not be empty", override_text);
    if (place->is_array()) {
      size_t index = 0;
      const auto result = std::from_chars(part.data(), part.data() + part.size(), index);
      MOREX_CHECK(result.ec == std::errc() && result.ptr == part.data() + part.size() && index < place->size(),
                  ErrorKind::kConfig, "[{}] '{}' must be an index below {}: there is a list", override_text, part,
                  place->size());
      place = &(*place)[index];
      continue;
    }
    if (place->is_null()) *place = Json::object();
    MOREX_CHECK(place->is_object(), ErrorKind::kConfig, "[{}] '{}' leads into {}, which is no mapping", override_text,
                part, place->dump());
    place = &(*place)[part];
  }
  return *place;
}

}  // namespace

Json parse_yaml(const std::string& text, const std::string& where) {
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(text);
    if (documents.empty()) return nullptr;
    MOREX_CHECK(documents.size() == 1, ErrorKind::kConfig, "{}: must hold one YAML document, got {}", where,
                documents.size());
    return Converter(where).convert(documents.front());
  } catch (const YAML::Exception& error) {
    fail(ErrorKind::kConfig, "{}:{}: {}", where, error.mark.line + 1, error.msg);
  }
}

Json read_recipe_file(const std::string& path) {
  const bool standard_input = path == "-";
  const std::string where = standard_input ? "standard input" : path;
  const std::string text = standard_input
                               ? std::string(std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>())
                               : read_text_file(path, ErrorKind::kConfig);
  Json recipe = parse_yaml(text, where);
  if (recipe.is_null()) recipe = Json::object();
  MOREX_CHECK(recipe.is_object(), ErrorKind::kConfig, "{}: a recipe must be a mapping of keys to values, got {}", where,
              recipe.type_name());
  return recipe;
}

void apply_overrides(Json& recipe, const std::vector<std::string>& overrides) {
  for (const std::string& text : overrides) {
    const size_t equals = text.find('=');
    MOREX_CHECK(equals != std::string::npos && equals > 0, ErrorKind::kConfig,
                "[{}] what follows the recipe must have the form key=value", text);
    descend(recipe, text.substr(0, equals), text) = parse_yaml(text.substr(equals + 1), text);
  }
}

}  // namespace morex::cli
