#include "adapters/peft_config.h"

#include <algorithm>
#include <set>

#include "base/error.h"

namespace morex::adapters {
namespace {

// Facts that change nothing here.
const std::set<std::string>& neutral_keys() {
  static const std::set<std::string> keys = {
      "peft_type",     "peft_version",        "task_type",      "base_model_name_or_path",
      "revision",      "inference_mode",      "auto_mapping",   "fan_in_fan_out",
      "megatron_core", "megatron_config",     "loftq_config",   "eva_config",
      "corda_config",  "qalora_group_size",   "runtime_config", "lora_ga_config",
      "use_qalora",    "ensure_weight_tying", "arrow_config",   "init_lora_weights"};
  return keys;
}

bool is_off(const Json& value) {
  return value.is_null() || value == Json(false) || value == Json("") || (value.is_structured() && value.empty());
}

[[noreturn]] void refuse(const JsonReader& config, const std::string& key, const std::string& what) {
  fail(ErrorKind::kFormat, "[{}] {}: {} is not supported", config.where(), key, what);
}

}  // namespace

void check_other_keys(const JsonReader& config, const std::vector<std::string>& read, Warnings& warnings) {
  if (config.get_or<std::string>("bias", "none") != "none") refuse(config, "bias", "training the base's biases");
  if (!is_off(config.raw("modules_to_save")))
    refuse(config, "modules_to_save", "training whole modules beside the adapter");
  for (const auto& [key, value] : config.object().items()) {
    if (std::find(read.begin(), read.end(), key) != read.end()) continue;
    if (is_off(value) || neutral_keys().contains(key) || key == "bias") continue;
    for (const char* changing : {"lora_bias", "use_qalora", "use_dora", "trainable_token_indices", "target_parameters",
                                 "layer_replication", "alora_invocation_tokens", "enable_lora"})
      if (key == changing) refuse(config, key, value.dump());
    warnings.add("adapter_config:" + key,
                 fmt::format("[{}] {} = {} is not known and has no effect", config.where(), key, value.dump()));
  }
}

Json read_peft_lora(const JsonReader& config, Warnings& warnings) {
  static const std::vector<std::string> taken = {"r",
                                                 "lora_alpha",
                                                 "lora_dropout",
                                                 "use_rslora",
                                                 "use_dora",
                                                 "target_modules",
                                                 "rank_pattern",
                                                 "exclude_modules",
                                                 "layers_to_transform",
                                                 "layers_pattern",
                                                 "alpha_pattern"};
  check_other_keys(config, taken, warnings);
  const Json& start = config.raw("init_lora_weights");
  for (const char* moved : {"pissa_niter", "olora", "corda", "loftq", "lora_ga"}) {
    if (start.is_string() && start.get<std::string>().starts_with(moved))
      refuse(config, "init_lora_weights", "'" + start.get<std::string>() + "', which changes the base's weights,");
  }
  Json method = {{"method", "lora"}};
  for (const std::string& key : taken)
    if (config.has(key)) method[key] = config.raw(key);
  if (start == Json("pissa")) method["init_lora_weights"] = start;
  MOREX_CHECK(method.contains("target_modules"), ErrorKind::kFormat, "[{}] target_modules is missing", config.where());
  return method;
}

Json low_rank_config_head() {
  return {{"task_type", "CAUSAL_LM"},
          {"inference_mode", true},
          {"bias", "none"},
          {"fan_in_fan_out", false},
          {"modules_to_save", nullptr}};
}

Json peft_lora_config(const Json& method, const std::vector<std::string>& targets) {
  const Json& experts = method.at("experts");
  Json config = low_rank_config_head();
  config.update({{"peft_type", "LORA"},
                 {"use_dora", experts.value("use_dora", Json(false))},
                 {"r", experts.value("r", Json(8))},
                 {"lora_alpha", experts.value("lora_alpha", Json(8))},
                 {"lora_dropout", experts.value("lora_dropout", Json(0.0))},
                 {"use_rslora", experts.value("use_rslora", Json(false))},
                 {"init_lora_weights", experts.value("init_lora_weights", Json(true))},
                 {"rank_pattern", method.value("rank_pattern", Json::object())},
                 {"alpha_pattern", method.value("alpha_pattern", Json::object())},
                 {"exclude_modules", method.value("exclude_modules", Json())},
                 {"layers_to_transform", method.value("layers_to_transform", Json())},
                 {"layers_pattern", method.value("layers_pattern", Json())}});
  // PEFT's "all-linear" would be expanded again on the other side: say what was adapted.
  config["target_modules"] = method.at("target_modules") == "all-linear" ? Json(targets) : method.at("target_modules");
  return config;
}

}  // namespace morex::adapters
