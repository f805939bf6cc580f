// The method part of a recipe, read into one entry per group of targets.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "adapters/gate_losses.h"
#include "adapters/targets.h"
#include "adapters/training_rules.h"
#include "base/json.h"

namespace morex::adapters {

class LoraSources;

// One choice on the three axes for some targets.
struct MethodEntry {
  std::string name;  // the preset's, or the structure's
  TargetRule targets;
  Json experts, router, prior;  // each with its `kind`
  std::vector<GateLoss> losses;
  PatternMap rank_pattern, alpha_pattern;  // of experts with a rank
  TrainingRules rules;
  std::shared_ptr<LoraSources> start;  // the adapters that the experts start from; null: none, or not opened yet

  // `experts` with the patterns' rank and alpha of this module.
  Json experts_of(const std::string& module) const;
  Json to_json() const;
};

// Flat keys, or a list under `adapters`; presets are spelled out. Throws Error(kConfig): unknown keys with the nearest
// name, keys of another structure.
std::vector<MethodEntry> read_method(const Json& method);
// What rows of data must say of themselves: whether a router goes by the task, whether a loss by the sample's type.
bool needs_tasks(const MethodEntry& entry);
bool needs_sample_types(const MethodEntry& entry);
// Gives every router of kind task that has none of its own these task_names. Spells presets out.
Json with_task_names(const Json& method, const std::vector<std::string>& names);
Json method_to_json(const std::vector<MethodEntry>& entries);

}  // namespace morex::adapters
