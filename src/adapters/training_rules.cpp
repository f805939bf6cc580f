#include "adapters/training_rules.h"

#include <cmath>

#include "base/error.h"

namespace morex::adapters {
namespace {

constexpr const char* kAxes[] = {"experts", "router", "prior"};  // in the order of Axis
constexpr int64_t kForever = nn::LeafOptions::kForever;

double positive(double value, const std::string& key) {
  MOREX_CHECK(std::isfinite(value) && value > 0.0, ErrorKind::kConfig, "[{}] must be a positive number, got {}", key,
              value);
  return value;
}

// The mapping under `key` with the axes as keys; a missing one is empty.
JsonReader axes_of(const JsonReader& options, const char* key) {
  static const Json empty = Json::object();
  const Json& given = options.raw(key);
  MOREX_CHECK(given.is_null() || given.is_object(), ErrorKind::kConfig,
              "[{}] must be a mapping with keys experts, router, prior, got {}", key, given.dump());
  const JsonReader reader(given.is_null() ? empty : given, key, ErrorKind::kConfig);
  reader.refuse_unknown_keys({std::begin(kAxes), std::end(kAxes)});
  return reader;
}

}  // namespace

TrainingRules::TrainingRules(const JsonReader& options, const Json& preset, const Json& router, const Json& prior) {
  lora_plus_ = positive(options.get_or<double>("loraplus_lr_ratio", preset.value("loraplus_lr_ratio", 1.0)),
                        "loraplus_lr_ratio");
  const JsonReader ratios = axes_of(options, "lr_ratios"), freeze = axes_of(options, "freeze");
  for (size_t i = 0; i < rules_.size(); ++i) {
    const std::string axis = kAxes[i];
    const bool absent =
        (axis == "router" && router.at("kind") == "none") || (axis == "prior" && prior.at("kind") == "none");
    MOREX_CHECK(!absent || (!ratios.has(axis) && !freeze.has(axis)), ErrorKind::kConfig,
                "[{}] {} has nothing to train: its kind is none", ratios.has(axis) ? "lr_ratios" : "freeze", axis);
    rules_[i].lr_ratio = positive(ratios.get_or<double>(axis, 1.0), "lr_ratios." + axis);
    if (freeze.has(axis)) read_freeze(freeze.raw(axis), "freeze." + axis, rules_[i]);
  }
}

void TrainingRules::read_freeze(const Json& value, const std::string& key, Rule& rule) const {
  rule.told = true;
  if (value.is_boolean()) {
    rule.frozen_until = value.get<bool>() ? kForever : 0;
    return;
  }
  const bool pair =
      value.is_array() && value.size() == 2 && value[0].is_number_integer() && value[1].is_number_integer();
  const int64_t from = pair ? value[0].get<int64_t>() : -1, until = pair ? value[1].get<int64_t>() : 0;
  MOREX_CHECK(
      pair && from >= 0 && (until == -1 || until > from), ErrorKind::kConfig,
      "[{}] must be true, false or [from, until], steps counted from 0 with until above from, or -1 for the end, "
      "got {}",
      key, value.dump());
  rule.frozen_from = from;
  rule.frozen_until = until == -1 ? kForever : until;
}

void TrainingRules::freeze_unless_told(Axis axis) {
  Rule& rule = rules_[static_cast<size_t>(axis)];
  if (!rule.told) rule.frozen_until = kForever;
  rule.told = true;
}

nn::LeafOptions TrainingRules::options(Axis axis) const {
  nn::LeafOptions options;
  options.lr_factor = of(axis).lr_ratio;
  options.frozen_from = of(axis).frozen_from;
  options.frozen_until = of(axis).frozen_until;
  return options;
}

nn::LeafOptions TrainingRules::options(Axis axis, const TensorSpec& spec) const {
  nn::LeafOptions made = options(axis);
  if (spec.name.find("lora_B") != std::string::npos || spec.shape.size() == 1) made.lr_factor *= lora_plus_;
  return made;
}

void TrainingRules::write(Json& json) const {
  if (lora_plus_ != 1.0) json["loraplus_lr_ratio"] = lora_plus_;
  for (size_t i = 0; i < rules_.size(); ++i) {
    const Rule& rule = rules_[i];
    if (rule.lr_ratio != 1.0) json["lr_ratios"][kAxes[i]] = rule.lr_ratio;
    if (!rule.told) continue;
    const bool open = rule.frozen_until == kForever;
    json["freeze"][kAxes[i]] = rule.frozen_until == 0          ? Json(false)
                               : open && rule.frozen_from == 0 ? Json(true)
                                                               : Json{rule.frozen_from, open ? -1 : rule.frozen_until};
  }
}

}  // namespace morex::adapters
