// JSON with errors that name the file and the key.
#pragma once
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace morex {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

// The JSON in `path`. Throws Error(kind) when the file is missing or is no JSON (line and column named).
Json read_json_file(const std::filesystem::path& path, ErrorKind kind = ErrorKind::kFormat);
OrderedJson read_ordered_json_file(const std::filesystem::path& path, ErrorKind kind = ErrorKind::kFormat);

// Text to JSON; `where` names the source in errors.
Json parse_json(std::string_view text, const std::string& where, ErrorKind kind = ErrorKind::kFormat);

// Typed access to one object. Every error reads "[where] key must be …, got …".
// get: the key must be there; get_or: missing or null gives the fallback; find: missing or null gives nothing.
// Supported T: bool, int64_t, double (any JSON number), std::string, std::vector of these.
class JsonReader {
 public:
  JsonReader(const Json& object, std::string where, ErrorKind kind = ErrorKind::kFormat);

  template <typename T>
  T get(std::string_view key) const;
  template <typename T>
  T get_or(std::string_view key, T fallback) const;
  template <typename T>
  std::optional<T> find(std::string_view key) const;
  bool has(std::string_view key) const;         // present and not null
  const Json& raw(std::string_view key) const;  // null when absent
  // Throws for the first key that is not in `known`, with the nearest known name.
  void refuse_unknown_keys(const std::vector<std::string>& known) const;

  const Json& object() const { return *object_; }
  const std::string& where() const { return where_; }
  ErrorKind kind() const { return kind_; }

 private:
  const Json* object_;
  std::string where_;
  ErrorKind kind_;
};

}  // namespace morex
