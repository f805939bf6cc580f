// Values of options: reading JSON as the wanted type, generously but without loss, and what a value must further be.
#pragma once
#include <cmath>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/strings.h"

namespace morex::train {

template <typename T>
struct IsVector : std::false_type {};
template <typename T>
struct IsVector<std::vector<T>> : std::true_type {};

template <typename T>
constexpr const char* type_name() {
  if constexpr (std::is_same_v<T, bool>) return "true or false";
  if constexpr (std::is_same_v<T, double>) return "number";
  if constexpr (std::is_same_v<T, std::string>) return "text";
  if constexpr (std::is_same_v<T, int64_t> || std::is_same_v<T, uint64_t>) return "whole number";
  return "list of texts";
}

// A number that YAML readers hand over as text ("1e-4" has no dot, so YAML 1.1 calls it a string).
inline std::optional<double> number_in(const std::string& text) {
  size_t used = 0;
  try {
    const double value = std::stod(text, &used);
    if (used == text.size()) return value;
  } catch (const std::exception&) {
  }
  return std::nullopt;
}

template <typename T>
std::optional<T> whole_number(double value) {
  const bool in_range = value >= static_cast<double>(std::numeric_limits<T>::min()) && value < 9.0e18;
  if (!in_range || std::floor(value) != value) return std::nullopt;
  return static_cast<T>(value);
}

// The value as T, or nothing when it is of another kind.
template <typename T>
std::optional<T> convert(const Json& value) {
  if constexpr (std::is_same_v<T, bool>) {
    if (value.is_boolean()) return value.get<bool>();
  } else if constexpr (std::is_same_v<T, double>) {
    if (value.is_number()) return value.get<double>();
    if (value.is_string()) return number_in(value.get<std::string>());
  } else if constexpr (std::is_same_v<T, std::string>) {
    if (value.is_string()) return value.get<std::string>();
  } else if constexpr (IsVector<T>::value) {
    if (value.is_string()) return T{value.get<std::string>()};
    if (!value.is_array()) return std::nullopt;
    T items;
    for (const Json& item : value) {
      if (!item.is_string()) return std::nullopt;
      items.push_back(item.get<std::string>());
    }
    return items;
  } else {
    if (value.is_number_unsigned() && std::is_same_v<T, uint64_t>) return static_cast<T>(value.get<uint64_t>());
    if (value.is_number_integer() && (value.is_number_unsigned() || value.get<int64_t>() >= 0 || std::is_signed_v<T>))
      return static_cast<T>(value.get<int64_t>());
    if (value.is_number()) return whole_number<T>(value.get<double>());
    if (value.is_string())
      if (const auto number = number_in(value.get<std::string>())) return whole_number<T>(*number);
  }
  return std::nullopt;
}

// What a value of the right type must further be; "" when it is.
template <typename T>
using Check = std::function<std::string(const T&)>;

inline Check<int64_t> at_least(int64_t least) {
  return [least](int64_t value) { return value >= least ? "" : fmt::format("at least {}", least); };
}

// -1 stands for "no limit".
inline Check<int64_t> positive_or_minus_one() {
  return [](int64_t value) { return value == -1 || value >= 1 ? "" : "positive, or -1"; };
}

inline Check<double> between(double low, bool low_included, double high, bool high_included) {
  return [=](double value) {
    const bool above = low_included ? value >= low : value > low;
    const bool below = high_included ? value <= high : value < high;
    if (above && below && std::isfinite(value)) return std::string();
    if (std::isinf(high)) return fmt::format("{} {}", low_included ? "at least" : "greater than", low);
    return fmt::format("in {}{}, {}{}", low_included ? '[' : '(', low, high, high_included ? ']' : ')');
  };
}
inline constexpr double kInfinity = std::numeric_limits<double>::infinity();

inline Check<std::string> one_of(std::vector<std::string> names) {
  return [names = std::move(names)](const std::string& value) {
    for (const std::string& name : names)
      if (name == value) return std::string();
    return fmt::format("one of {}{}", join(names, ", "), did_you_mean(value, names));
  };
}

}  // namespace morex::train
