#include "arguments.h"

#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "base/strings.h"

namespace morex::bench {

Arguments::Arguments(const std::vector<std::string>& given, const std::vector<std::string>& known) {
  for (const std::string& argument : given) {
    const size_t equals = argument.find('=');
    MOREX_CHECK(equals != std::string::npos, ErrorKind::kConfig, "an argument must be key=value, got '{}'", argument);
    const std::string key = argument.substr(0, equals);
    MOREX_CHECK(std::find(known.begin(), known.end(), key) != known.end(), ErrorKind::kConfig,
                "an argument must be one of {}, got '{}'", join(known, ", "), key);
    MOREX_CHECK(values_.emplace(key, argument.substr(equals + 1)).second, ErrorKind::kConfig, "'{}' is given twice",
                key);
  }
}

const std::string& Arguments::text(const std::string& key) const {
  const auto found = values_.find(key);
  MOREX_CHECK(found != values_.end(), ErrorKind::kConfig, "{}=… is missing", key);
  return found->second;
}

std::string Arguments::text(const std::string& key, const std::string& fallback) const {
  return values_.contains(key) ? text(key) : fallback;
}

int64_t Arguments::number(const std::string& key, int64_t fallback) const {
  if (!values_.contains(key)) return fallback;
  const std::string& value = text(key);
  int64_t number = -1;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  MOREX_CHECK(error == std::errc() && end == value.data() + value.size() && number >= 0, ErrorKind::kConfig,
              "{} must be a whole number from 0, got '{}'", key, value);
  return number;
}

}  // namespace morex::bench
