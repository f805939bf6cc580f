#include "adapters/plain_entry.h"

#include <cmath>

namespace morex::adapters {
namespace {

PatternMap scaled(const PatternMap& patterns, double factor, const char* name) {
  Json values = Json::object();
  for (const auto& [key, value] : patterns.to_json().items())
    values[key] = value.is_number_integer() && factor == 2.0 ? Json(2 * value.get<int64_t>())
                                                             : Json(factor * value.get<double>());
  return {values, name};
}

}  // namespace

bool moves_base(const MethodEntry& entry) { return entry.experts.value("init_lora_weights", Json()) == Json("pissa"); }

MethodEntry plain_entry(const MethodEntry& moving) {
  MethodEntry plain = moving;
  const double factor = moving.experts.value("use_rslora", false) ? std::sqrt(2.0) : 2.0;
  plain.name = "lora";
  plain.experts["r"] = 2 * moving.experts.value("r", int64_t{8});
  plain.experts["lora_alpha"] = factor * moving.experts.value("lora_alpha", 8.0);
  plain.experts["init_lora_weights"] = true;
  plain.rank_pattern = scaled(moving.rank_pattern, 2.0, "rank_pattern");
  plain.alpha_pattern = scaled(moving.alpha_pattern, factor, "alpha_pattern");
  return plain;
}

}  // namespace morex::adapters
