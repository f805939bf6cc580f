#include "adapters/level_list.h"

namespace morex::adapters {
namespace {

template <typename T>
std::vector<T> per_level(const JsonReader& options, const std::string& key, int64_t levels) {
  std::vector<T> values =
      options.raw(key).is_array() ? options.get<std::vector<T>>(key) : std::vector<T>{options.get<T>(key)};
  if (values.size() == 1) values.resize(static_cast<size_t>(levels), values.front());
  MOREX_CHECK(static_cast<int64_t>(values.size()) == levels, options.kind(),
              "[{}] {} must have one value or one per level ({}), got {}", options.where(), key, levels, values.size());
  return values;
}

}  // namespace

std::vector<int64_t> level_integers(const JsonReader& options, const std::string& key, int64_t levels, int64_t fallback,
                                    int64_t least) {
  if (!options.has(key)) return std::vector<int64_t>(static_cast<size_t>(levels), fallback);
  std::vector<int64_t> values = per_level<int64_t>(options, key, levels);
  for (const int64_t value : values)
    MOREX_CHECK(value >= least && value <= 1 << 20, options.kind(), "[{}] {} must be between {} and {}, got {}",
                options.where(), key, least, 1 << 20, value);
  return values;
}

std::vector<double> level_numbers(const JsonReader& options, const std::string& key, int64_t levels) {
  if (!options.has(key)) return {};
  return per_level<double>(options, key, levels);
}

}  // namespace morex::adapters
