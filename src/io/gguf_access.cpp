// Typed access to the metadata of a GGUF file.
#include <limits>
#include <optional>
#include <type_traits>
#include <utility>

#include "base/error.h"
#include "io/gguf.h"
#include "io/gguf_metadata.h"
#include "io/text_check.h"

namespace morex::io {
namespace {

std::optional<int64_t> as_int(const GgufValue& value) {
  return std::visit(
      [](const auto& held) -> std::optional<int64_t> {
        using T = std::decay_t<decltype(held)>;
        if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
          if (!std::in_range<int64_t>(held)) return std::nullopt;
          return static_cast<int64_t>(held);
        } else {
          return std::nullopt;
        }
      },
      value);
}

std::optional<double> as_float(const GgufValue& value) {
  if (const auto* single = std::get_if<float>(&value)) return *single;
  if (const auto* wide = std::get_if<double>(&value)) return *wide;
  return std::nullopt;
}

std::optional<bool> as_bool(const GgufValue& value) {
  if (const auto* flag = std::get_if<bool>(&value)) return *flag;
  return std::nullopt;
}

std::optional<std::string> as_string(const GgufValue& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  return std::nullopt;
}

[[noreturn]] void fail_wrong_type(const GgufFile& file, std::string_view key, const char* wanted,
                                  const GgufValue& value) {
  fail(ErrorKind::kFormat, "[{}] {} has the wrong type: it must be {}, got {}", file.path().string(), printable(key),
       wanted, gguf_kind(value));
}

const GgufValue& require(const GgufFile& file, std::string_view key) {
  const auto found = file.metadata().find(key);
  MOREX_CHECK(found != file.metadata().end(), ErrorKind::kFormat, "[{}] missing key {}", file.path().string(),
              printable(key));
  return found->second;
}

template <typename T>
T get(const GgufFile& file, std::string_view key, const char* wanted, std::optional<T> (*convert)(const GgufValue&)) {
  const GgufValue& value = require(file, key);
  std::optional<T> converted = convert(value);
  if (!converted) fail_wrong_type(file, key, wanted, value);
  return std::move(*converted);
}

template <typename T>
std::vector<T> get_list(const GgufFile& file, std::string_view key, const char* wanted,
                        std::optional<T> (*convert)(const GgufValue&)) {
  const GgufValue& value = require(file, key);
  const auto* array = std::get_if<std::shared_ptr<GgufArray>>(&value);
  if (array == nullptr) fail_wrong_type(file, key, wanted, value);
  std::vector<T> list;
  list.reserve((*array)->values.size());
  for (const GgufValue& element : (*array)->values) {
    std::optional<T> converted = convert(element);
    if (!converted) fail_wrong_type(file, key, wanted, value);
    list.push_back(std::move(*converted));
  }
  return list;
}

}  // namespace

bool GgufFile::has(std::string_view key) const { return metadata_.find(key) != metadata_.end(); }

std::string GgufFile::get_string(std::string_view key) const {
  std::string text = get<std::string>(*this, key, "a string", as_string);
  MOREX_CHECK(is_utf8(text), ErrorKind::kFormat, "[{}] {} must be valid UTF-8", path().string(), printable(key));
  return text;
}
int64_t GgufFile::get_int(std::string_view key) const {
  return get<int64_t>(*this, key, "an integer of 63 bits", as_int);
}
double GgufFile::get_float(std::string_view key) const { return get<double>(*this, key, "a float", as_float); }

bool GgufFile::get_bool_or(std::string_view key, bool fallback) const {
  return has(key) ? get<bool>(*this, key, "a bool", as_bool) : fallback;
}
int64_t GgufFile::get_int_or(std::string_view key, int64_t fallback) const {
  return has(key) ? get_int(key) : fallback;
}
double GgufFile::get_float_or(std::string_view key, double fallback) const {
  return has(key) ? get_float(key) : fallback;
}

std::vector<std::string> GgufFile::get_strings(std::string_view key) const {
  return get_list<std::string>(*this, key, "an array of strings", as_string);
}
std::vector<int64_t> GgufFile::get_ints(std::string_view key) const {
  return get_list<int64_t>(*this, key, "an array of integers", as_int);
}
std::vector<double> GgufFile::get_floats(std::string_view key) const {
  return get_list<double>(*this, key, "an array of floats", as_float);
}

}  // namespace morex::io
