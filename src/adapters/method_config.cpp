#include "adapters/method_config.h"

#include <algorithm>

#include "adapters/lora_sources.h"
#include "adapters/presets.h"
#include "adapters/router.h"
#include "base/strings.h"

namespace morex::adapters {
namespace {

// Keys of low_rank that stand at top level, as in PEFT's configuration.
const std::vector<std::string>& low_rank_keys() {
  static const std::vector<std::string> keys = {"r",          "lora_alpha",        "lora_dropout",
                                                "use_rslora", "init_lora_weights", "use_dora"};
  return keys;
}

const std::vector<std::string>& entry_keys() {
  static const std::vector<std::string> keys = [] {
    std::vector<std::string> all = {"method",
                                    "target_modules",
                                    "exclude_modules",
                                    "layers_to_transform",
                                    "layers",
                                    "layers_pattern",
                                    "rank_pattern",
                                    "alpha_pattern",
                                    "experts",
                                    "router",
                                    "prior",
                                    "losses",
                                    "loraplus_lr_ratio",
                                    "lr_ratios",
                                    "freeze"};
    all.insert(all.end(), low_rank_keys().begin(), low_rank_keys().end());
    return all;
  }();
  return keys;
}

// The preset's axis with the user's keys over it; another kind replaces it whole.
Json merge_axis(const Json& base, const Json& given, const std::string& key, const char* fallback) {
  MOREX_CHECK(given.is_null() || given.is_object(), ErrorKind::kConfig, "[{}] must be an object with a kind, got {}",
              key, given.dump());
  Json axis = base.is_object() ? base : Json{{"kind", fallback}};
  if (given.is_null()) return axis;
  if (given.contains("kind") && given["kind"] != axis["kind"]) return given;
  axis.update(given);
  return axis;
}

// Kinds of experts whose options have these keys.
bool takes_rank_keys(const std::string& kind) {
  return kind == "low_rank" || kind == "low_rank_experts" || kind == "ffn_experts";
}

std::string kind_of(const Json& axis, const std::string& where) {
  return JsonReader(axis, where, ErrorKind::kConfig).get<std::string>("kind");
}

void take_low_rank_keys(const JsonReader& options, Json& experts) {
  const bool low_rank = takes_rank_keys(kind_of(experts, "experts"));
  for (const std::string& key : low_rank_keys()) {
    if (!options.has(key)) continue;
    MOREX_CHECK(low_rank, ErrorKind::kConfig,
                "[{}] belongs to experts of kind low_rank, low_rank_experts or ffn_experts, not of kind {}", key,
                experts["kind"].get<std::string>());
    MOREX_CHECK(!options.raw("experts").is_object() || !options.raw("experts").contains(key), ErrorKind::kConfig,
                "[{}] is given twice, at top level and in experts", key);
    experts[key] = options.raw(key);
  }
  for (const char* key : {"rank_pattern", "alpha_pattern"})
    MOREX_CHECK(low_rank || !options.has(key) || options.raw(key).empty(), ErrorKind::kConfig,
                "[{}] belongs to experts of kind low_rank, low_rank_experts or ffn_experts, not of kind {}", key,
                experts["kind"].get<std::string>());
}

MethodEntry read_entry(const Json& given, const std::string& where) {
  const Json& given_experts = JsonReader(given, where, ErrorKind::kConfig).raw("experts");
  const Json json = starts_from_loras(given_experts) ? with_lora_defaults(given) : given;
  const JsonReader options(json, where, ErrorKind::kConfig);
  options.refuse_unknown_keys(entry_keys());
  const bool spelled = options.has("experts") && options.raw("experts").contains("kind");
  const auto name = options.get_or<std::string>("method", spelled ? "" : "lora");
  const Json base = name.empty() ? Json::object() : preset(name);

  Json experts = merge_axis(base.value("experts", Json()), options.raw("experts"), "experts", "low_rank");
  take_low_rank_keys(options, experts);
  const bool upcycled = starts_from_loras(experts);
  const std::string kind = kind_of(experts, "experts");
  MOREX_CHECK(!upcycled || kind == "low_rank_experts" || kind == "ffn_experts", ErrorKind::kConfig,
              "[experts] init_from makes LoRAs experts of kind low_rank_experts or ffn_experts, not of kind {}, whose "
              "experts are no LoRA pairs",
              kind);
  const Json router = merge_axis(base.value("router", Json()), options.raw("router"), "router", "none");
  const Json prior = merge_axis(base.value("prior", Json()), options.raw("prior"), "prior", "none");
  Json losses = options.raw("losses").is_null() ? base.value("losses", Json::array()) : options.raw("losses");
  TrainingRules rules(options, base, router, prior);
  if (upcycled) rules.freeze_unless_told(Axis::kExperts);
  // The targets default to the preset's.
  Json with_targets = json;
  if (!options.has("target_modules") && base.contains("target_modules"))
    with_targets["target_modules"] = base["target_modules"];
  return {name.empty() ? kind_of(experts, "experts") : name,
          TargetRule(JsonReader(with_targets, where, ErrorKind::kConfig)),
          experts,
          router,
          prior,
          read_losses(losses),
          PatternMap(options.raw("rank_pattern"), "rank_pattern"),
          PatternMap(options.raw("alpha_pattern"), "alpha_pattern"),
          rules,
          nullptr};
}

}  // namespace

Json MethodEntry::experts_of(const std::string& module) const {
  Json options = experts;
  if (const auto rank = rank_pattern.find(module)) options["r"] = *rank;
  if (const auto alpha = alpha_pattern.find(module)) options["lora_alpha"] = *alpha;
  return options;
}

Json MethodEntry::to_json() const {
  Json json = targets.to_json();
  if (name != experts.at("kind")) json["method"] = name;
  json["experts"] = experts;
  json["experts"].erase("init_from");  // what became of it lies in the tensors
  json["router"] = router;
  json["prior"] = prior;
  json["losses"] = losses_to_json(losses);
  if (!rank_pattern.to_json().empty()) json["rank_pattern"] = rank_pattern.to_json();
  if (!alpha_pattern.to_json().empty()) json["alpha_pattern"] = alpha_pattern.to_json();
  rules.write(json);
  return json;
}

std::vector<MethodEntry> read_method(const Json& method) {
  const JsonReader options(method, "method", ErrorKind::kConfig);
  std::vector<MethodEntry> entries;
  if (!options.has("adapters")) {
    entries.push_back(read_entry(method, "method"));
    return entries;
  }
  options.refuse_unknown_keys({"adapters"});
  const Json& list = options.raw("adapters");
  MOREX_CHECK(list.is_array() && !list.empty(), ErrorKind::kConfig, "[adapters] must be a list of methods, got {}",
              list.dump());
  for (size_t i = 0; i < list.size(); ++i) entries.push_back(read_entry(list[i], fmt::format("adapters[{}]", i)));
  return entries;
}

bool needs_tasks(const MethodEntry& entry) { return find_router(kind_of(entry.router, "router"), "router").by_task; }

bool needs_sample_types(const MethodEntry& entry) {
  return std::any_of(entry.losses.begin(), entry.losses.end(),
                     [](const GateLoss& loss) { return loss.kind == "localized"; });
}

Json with_task_names(const Json& method, const std::vector<std::string>& names) {
  if (names.empty()) return method;
  std::vector<MethodEntry> entries = read_method(method);
  for (MethodEntry& entry : entries)
    if (needs_tasks(entry) && !entry.router.contains("task_names")) entry.router["task_names"] = names;
  return method_to_json(entries);
}

Json method_to_json(const std::vector<MethodEntry>& entries) {
  if (entries.size() == 1) return entries.front().to_json();
  Json list = Json::array();
  for (const MethodEntry& entry : entries) list.push_back(entry.to_json());
  return {{"adapters", list}};
}

}  // namespace morex::adapters
