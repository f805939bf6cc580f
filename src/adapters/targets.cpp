#include "adapters/targets.h"

#include <algorithm>

namespace morex::adapters {
namespace {

bool names_module(const std::string& name, const std::string& module) {
  return module == name || module.ends_with("." + name);
}

bool any_names(const std::vector<std::string>& names, const std::string& module) {
  return std::any_of(names.begin(), names.end(), [&](const auto& name) { return names_module(name, module); });
}

template <typename T>
std::vector<T> one_or_many(const JsonReader& options, const std::string& key) {
  return options.raw(key).is_array() ? options.get<std::vector<T>>(key) : std::vector<T>{options.get<T>(key)};
}

}  // namespace

TargetRule::TargetRule(const JsonReader& options) {
  target_ = options.raw("target_modules");
  if (target_.is_null()) target_ = "all-linear";
  if (target_.is_string()) {
    if (target_ != "all-linear") expression_.emplace(target_.get<std::string>(), "target_modules");
  } else {
    names_ = options.get<std::vector<std::string>>("target_modules");
    MOREX_CHECK(!names_.empty(), ErrorKind::kConfig, "[target_modules] must name at least one module");
  }
  exclude_ = options.raw("exclude_modules");
  if (exclude_.is_string()) {
    exclude_expression_.emplace(exclude_.get<std::string>(), "exclude_modules");
  } else if (!exclude_.is_null()) {
    exclude_names_ = options.get<std::vector<std::string>>("exclude_modules");
  }

  MOREX_CHECK(!options.has("layers") || !options.has("layers_to_transform"), ErrorKind::kConfig,
              "[layers] is short for layers_to_transform: give one of them");
  const std::string layers = options.has("layers") ? "layers" : "layers_to_transform";
  if (options.has(layers)) {
    MOREX_CHECK(!expression_, ErrorKind::kConfig,
                "[{}] goes with a list of target_modules; an expression names the layers itself", layers);
    layers_ = one_or_many<int64_t>(options, layers);
  }
  layers_pattern_ = options.raw("layers_pattern");
  if (layers_pattern_ == Json("") || layers_pattern_ == Json::array()) layers_pattern_ = nullptr;
  if (layers_pattern_.is_null()) {
    layer_patterns_.emplace_back(R"(.*\.[^.]*\.(\d+)\.)", "layers_pattern");
  } else {
    MOREX_CHECK(layers_.has_value(), ErrorKind::kConfig,
                "[layers_pattern] only has a meaning with layers_to_transform");
    for (const auto& name : one_or_many<std::string>(options, "layers_pattern"))
      layer_patterns_.emplace_back(R"(.*\.)" + name + R"(\.(\d+)\.)", "layers_pattern");
  }
}

bool TargetRule::in_layers(const std::string& module) const {
  for (const ModulePattern& pattern : layer_patterns_) {
    const auto number = pattern.first_group_at_start(module);
    if (!number) continue;
    return std::any_of(layers_->begin(), layers_->end(),
                       [&](const int64_t layer) { return std::to_string(layer) == *number; });
  }
  return false;
}

bool TargetRule::matches(const std::string& module, int64_t layer) const {
  if (exclude_expression_ && exclude_expression_->matches_whole(module)) return false;
  if (any_names(exclude_names_, module)) return false;
  if (expression_) return expression_->matches_whole(module);
  const bool named = names_.empty() ? layer >= 0 : any_names(names_, module);
  return named && (!layers_ || in_layers(module));
}

std::vector<std::string> TargetRule::unmatched(const std::vector<std::pair<std::string, int64_t>>& modules) const {
  std::vector<std::string> rest;
  for (const std::string& name : names_) {
    const bool found = std::any_of(modules.begin(), modules.end(), [&](const auto& module) {
      return names_module(name, module.first) && matches(module.first, module.second);
    });
    if (!found) rest.push_back(name);
  }
  return rest;
}

Json TargetRule::to_json() const {
  Json json = {{"target_modules", target_}};
  if (!exclude_.is_null()) json["exclude_modules"] = exclude_;
  if (layers_) json["layers_to_transform"] = *layers_;
  if (!layers_pattern_.is_null()) json["layers_pattern"] = layers_pattern_;
  return json;
}

std::vector<std::string> exact_targets(const std::set<std::string>& adapted, const std::vector<std::string>& all) {
  std::set<std::string> names;
  for (const std::string& module : adapted) names.insert(module.substr(module.rfind('.') + 1));
  for (const std::string& module : all)
    if (names.contains(module.substr(module.rfind('.') + 1)) && !adapted.contains(module))
      return {adapted.begin(), adapted.end()};
  return {names.begin(), names.end()};
}

PatternMap::PatternMap(const Json& object, const std::string& where) {
  if (object.is_null()) return;
  MOREX_CHECK(object.is_object(), ErrorKind::kConfig, "[{}] must map patterns to numbers, got {}", where,
              object.dump());
  object_ = object;
  for (const auto& [key, value] : object.items()) {
    MOREX_CHECK(value.is_number(), ErrorKind::kConfig, "[{}] the value of '{}' must be a number, got {}", where, key,
                value.dump());
    entries_.push_back({key, ModulePattern("(?:.*\\.)?(?:" + key + ")", where), value.get<double>()});
  }
}

std::optional<double> PatternMap::find(const std::string& module) const {
  for (const Entry& entry : entries_)
    if (entry.pattern.matches_whole(module)) return entry.value;
  return std::nullopt;
}

std::vector<std::string> PatternMap::unmatched(const std::vector<std::string>& modules) const {
  std::vector<std::string> rest;
  for (const Entry& entry : entries_) {
    const bool found = std::any_of(modules.begin(), modules.end(),
                                   [&](const auto& module) { return entry.pattern.matches_whole(module); });
    if (!found) rest.push_back(entry.key);
  }
  return rest;
}

}  // namespace morex::adapters
