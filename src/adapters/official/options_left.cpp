#include "adapters/official/options_left.h"

#include "base/error.h"

namespace morex::adapters {

OptionsLeft::OptionsLeft(const Json& axis, std::string where, std::string_view layout)
    : left_(axis), where_(std::move(where)), layout_(layout) {
  left_.erase("kind");
}

Json OptionsLeft::take(const std::string& key, const Json& fallback) {
  const Json value = left_.contains(key) && !left_[key].is_null() ? left_[key] : fallback;
  left_.erase(key);
  return value;
}

void OptionsLeft::must_be(const std::string& key, const Json& only) {
  const Json value = take(key, only);
  MOREX_CHECK(value == only, ErrorKind::kConfig,
              "[{}] {} must be {} for the layout {}, which has no place for it, got {}", where_, key, only.dump(),
              layout_, value.dump());
}

void OptionsLeft::ignore(const std::vector<std::string>& keys) {
  for (const std::string& key : keys) left_.erase(key);
}

void OptionsLeft::refuse_rest() const {
  for (const auto& [key, value] : left_.items())
    MOREX_CHECK(value.is_null(), ErrorKind::kConfig, "[{}] {} = {} has no place in the layout {}", where_, key,
                value.dump(), layout_);
}

}  // namespace morex::adapters
