// MoE-PEFT's plug-in mixtures (TUDB-Labs/MoE-PEFT; DynMoLE: mikecovlee/DynMoLE): experts on each projection, with our
// tensor names behind a prefix. Targets without a gate in the file carry plain LoRA: LoRAMoE's attention.
#include "adapters/official/moe_peft.h"

#include "adapters/official/table.h"
#include "adapters/peft_config.h"
#include "base/error.h"
#include "base/strings.h"

namespace morex::adapters {
namespace {

bool gated(const OfficialFolder& folder, const std::string& target) {
  return folder.has("." + target + ".moe_gate.weight");
}

// `router`: read from the configuration by the caller, who read `keys` for it.
Json read_plug_in(const OfficialFolder& folder, const char* name, const Json& router, std::vector<std::string> keys) {
  const JsonReader& config = folder.config;
  for (const char* key :
       {"r", "lora_alpha", "lora_dropout", "target_modules", "use_rslora", "routing_strategy", "num_experts"})
    keys.emplace_back(key);
  keys.insert(keys.end(), moe_peft_training_keys().begin(), moe_peft_training_keys().end());
  check_other_keys(config, keys, folder.warnings);
  Json experts = read_low_rank(folder, "low_rank_experts");
  experts["num_experts"] = config.get<int64_t>("num_experts");
  if (config.get_or<bool>("use_rslora", false)) experts["use_rslora"] = true;
  std::vector<std::string> mixed, plain;
  for (const std::string& target : moe_peft_targets(folder)) (gated(folder, target) ? mixed : plain).push_back(target);
  MOREX_CHECK(!mixed.empty(), ErrorKind::kFormat,
              "[{}] at least one of target_modules must have a moe_gate in the tensor file, got {}", config.where(),
              config.raw("target_modules").dump());
  const Json method = {{"method", name}, {"experts", experts}, {"router", router}, {"target_modules", mixed}};
  if (plain.empty()) return method;
  Json lora = experts;
  lora["kind"] = "low_rank";
  lora.erase("num_experts");
  return {{"adapters", {method, {{"experts", lora}, {"target_modules", plain}}}}};
}

// The mixture, and plain LoRA beside it where there is any.
bool suits_plug_in(const std::vector<MethodEntry>& entries, const char* router) {
  const Json &experts = entries[0].experts, &lora = entries.back().experts;
  const bool mixture = experts.at("kind") == "low_rank_experts" && entries[0].router.at("kind") == router &&
                       !experts.value("shared_a", false) && !experts.value("split_rank", false);
  return mixture && (entries.size() == 1 ||
                     (entries.size() == 2 && lora.at("kind") == "low_rank" && entries[1].router.at("kind") == "none"));
}

Json write_plug_in(const OfficialExport& from, const char* type, const char* strategy, const char* layout) {
  const MethodEntry& entry = from.entries.front();
  for (const MethodEntry& each : from.entries) {
    refuse_prior(each, layout);
    refuse_patterns(each, layout);
  }
  OptionsLeft experts(entry.experts, "experts", layout);
  Json config = write_moe_peft(from, experts, layout);
  if (from.entries.size() == 2) {
    OptionsLeft beside(from.entries[1].experts, "experts", layout);
    MOREX_CHECK(
        write_moe_peft(from, beside, layout) == config, ErrorKind::kConfig,
        "[experts] mixture and LoRA must have the same r, lora_alpha, lora_dropout and use_rslora in the layout "
        "{}",
        layout);
    for (const char* key : {"use_dora", "mixer"}) beside.must_be(key, false);
    beside.refuse_rest();
  }
  config["peft_type"] = type;
  config["routing_strategy"] = strategy;
  config["num_experts"] = one_expert_count(experts, layout);
  experts.must_be("shared_a", false);
  experts.must_be("split_rank", false);
  experts.refuse_rest();
  return config;
}

}  // namespace

std::vector<std::string> moe_peft_targets(const OfficialFolder& folder) {
  return folder.config.get<std::vector<std::string>>("target_modules");
}

const std::vector<std::string>& moe_peft_training_keys() {
  static const std::vector<std::string> keys = {"router_aux_loss_coef", "router_init_range",    "jitter_noise",
                                                "router_loss",          "router_dyn_loss_coef", "router_z_loss_coef",
                                                "ffn_dropout",          "loraplus_lr_ratio"};
  return keys;
}

Json write_moe_peft(const OfficialExport& from, OptionsLeft& experts, std::string_view layout) {
  for (const std::string& target : from.targets)
    MOREX_CHECK(target.find('.') == std::string::npos, ErrorKind::kConfig,
                "[target_modules] the layout {} names projections of all layers, {} is one of some", layout, target);
  Json config = {{"bias", "none"},
                 {"task_type", "CAUSAL_LM"},
                 {"target_modules", from.targets},
                 {"r", experts.take("r", 8)},
                 {"lora_alpha", experts.take("lora_alpha", 8)},
                 {"lora_dropout", experts.take("lora_dropout", 0.0)}};
  if (experts.take("use_rslora", false) == Json(true)) config["use_rslora"] = true;
  experts.ignore({"init_lora_weights", "init_std"});
  return config;
}

bool moe_peft_mola_recognises(const OfficialFolder& folder) { return folder.peft_type() == "MOLA"; }
bool moe_peft_loramoe_recognises(const OfficialFolder& folder) { return folder.peft_type() == "LORAMOE"; }
bool dynmole_recognises(const OfficialFolder& folder) { return folder.peft_type() == "DYNMOLE"; }

bool moe_peft_mola_suits(const std::vector<MethodEntry>& entries) { return suits_plug_in(entries, "top_k"); }
bool moe_peft_loramoe_suits(const std::vector<MethodEntry>& entries) { return suits_plug_in(entries, "softmax"); }
bool dynmole_suits(const std::vector<MethodEntry>& entries) { return suits_plug_in(entries, "entropy"); }

Json moe_peft_mola_read(const OfficialFolder& folder) {
  return read_plug_in(folder, "mola", {{"kind", "top_k"}, {"top_k", folder.config.get_or<int64_t>("top_k", 2)}},
                      {"top_k"});
}

Json moe_peft_loramoe_read(const OfficialFolder& folder) {
  return read_plug_in(folder, "loramoe", {{"kind", "softmax"}}, {});
}

Json dynmole_read(const OfficialFolder& folder) {
  const JsonReader& config = folder.config;
  Json router = {{"kind", "entropy"}};
  std::vector<std::string> read;
  for (const char* key : {"entropy_threshold", "entropy_index", "entropy_type", "entropy_eps", "keep_top_k", "top_p"}) {
    read.emplace_back(key);
    if (config.has(key)) router[key] = config.raw(key);
  }
  // As one published template spells them.
  for (const auto& [other, key] :
       {std::pair{"entropy_threshhold", "entropy_threshold"}, std::pair{"entropy_q", "entropy_index"}}) {
    read.emplace_back(other);
    if (!config.has(other)) continue;
    MOREX_CHECK(!config.has(key), ErrorKind::kFormat, "[{}] {} and {} mean the same: there must be one of them",
                config.where(), other, key);
    router[key] = config.raw(other);
  }
  return read_plug_in(folder, "dynmole", router, read);
}

Json moe_peft_mola_write(const OfficialExport& from) {
  Json config = write_plug_in(from, "MOLA", "mola", "mola_moe_peft");
  OptionsLeft router(from.entries.front().router, "router", "mola_moe_peft");
  config["top_k"] = router.take("top_k", 2);
  router.must_be("renormalise", true);
  router.ignore({"init_std"});
  router.refuse_rest();
  return config;
}

Json moe_peft_loramoe_write(const OfficialExport& from) {
  static const std::string kGate = ".moe_gate.weight";
  for (const nn::NamedView& view : from.store.views())
    MOREX_CHECK(!view.name.ends_with(kGate) || view.name.find(".mlp.") != std::string::npos, ErrorKind::kConfig,
                "[target_modules] the layout loramoe_moe_peft has experts in the feed-forward block only, {} lies "
                "elsewhere",
                view.name);
  OptionsLeft router(from.entries.front().router, "router", "loramoe_moe_peft");
  router.ignore({"init_std"});
  router.refuse_rest();
  return write_plug_in(from, "LORAMOE", "loramoe", "loramoe_moe_peft");
}

Json dynmole_write(const OfficialExport& from) {
  Json config = write_plug_in(from, "DYNMOLE", "dynmole", "dynmole");
  OptionsLeft router(from.entries.front().router, "router", "dynmole");
  const int64_t experts = config["num_experts"];
  config["entropy_threshold"] = router.take("entropy_threshold", 0.9);
  config["entropy_index"] = router.take("entropy_index", 1.1);
  config["entropy_type"] = router.take("entropy_type", "tsallis");
  config["entropy_eps"] = router.take("entropy_eps", 1e-5);
  config["keep_top_k"] = router.take("keep_top_k", std::min<int64_t>(2, experts));
  config["top_p"] = router.take("top_p", 0.75);
  router.ignore({"init_std"});
  router.refuse_rest();
  return config;
}

}  // namespace morex::adapters
