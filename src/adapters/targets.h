// Which projections a method adapts, chosen as PEFT chooses them.
#pragma once
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "adapters/module_pattern.h"
#include "base/json.h"

namespace morex::adapters {

// target_modules: "all-linear" (every projection inside decoder layers), another string (a regular expression that
// matches the whole path), or a list (exact paths, or the path's last components). exclude_modules: the same without
// "all-linear". layers_to_transform (or its short name `layers`): only these layers' modules, found with
// layers_pattern.
class TargetRule {
 public:
  // Throws Error(kConfig).
  explicit TargetRule(const JsonReader& options);

  bool matches(const std::string& module, int64_t layer) const;
  // Listed names that match none of these modules.
  std::vector<std::string> unmatched(const std::vector<std::pair<std::string, int64_t>>& modules) const;
  Json to_json() const;  // target_modules, and the others where given
  std::string describe() const { return target_.dump(); }

 private:
  bool in_layers(const std::string& module) const;

  Json target_, exclude_, layers_pattern_;
  std::optional<ModulePattern> expression_, exclude_expression_;
  std::vector<std::string> names_, exclude_names_;
  std::optional<std::vector<int64_t>> layers_;
  std::vector<ModulePattern> layer_patterns_;
};

// `adapted` as a list that PEFT's matching turns into exactly them: last components where that is exact, else paths.
// `all`: every projection of the model.
std::vector<std::string> exact_targets(const std::set<std::string>& adapted, const std::vector<std::string>& all);

// rank_pattern, alpha_pattern: the value of the first key (in alphabetical order) whose expression matches the end of
// the module's path, after a dot or at its start.
class PatternMap {
 public:
  PatternMap() = default;
  PatternMap(const Json& object, const std::string& where);  // throws Error(kConfig)
  std::optional<double> find(const std::string& module) const;
  // Keys that match none of these modules.
  std::vector<std::string> unmatched(const std::vector<std::string>& modules) const;
  const Json& to_json() const { return object_; }

 private:
  struct Entry {
    std::string key;
    ModulePattern pattern;
    double value;
  };
  Json object_ = Json::object();
  std::vector<Entry> entries_;
};

}  // namespace morex::adapters
