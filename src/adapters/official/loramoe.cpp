// LoRAMoE (Ablustrund/LoRAMoE) and HydraLoRA (Clin0212/HydraLoRA): the same old PEFT with lora_nums experts and a
// lora_route; HydraLoRA shares one A, and has no blc_alpha, blc_weight.
#include "adapters/official/common.h"
#include "adapters/official/table.h"
#include "adapters/peft_config.h"
#include "base/error.h"

namespace morex::adapters {
namespace {

constexpr const char *kRoute = ".lora_route.weight", *kFirstA = ".lora_A0.weight";

Json read_method(const OfficialFolder& folder, const char* name) {
  const JsonReader& config = folder.config;
  std::vector<std::string> read = target_keys();
  for (const char* key : {"r", "lora_alpha", "lora_dropout", "lora_nums", "blc_alpha", "blc_weight", "merge_weights"})
    read.emplace_back(key);
  check_other_keys(config, read, folder.warnings);
  Json experts = read_low_rank(folder, "low_rank_experts");
  experts["num_experts"] = config.get<int64_t>("lora_nums");
  Json losses = Json::array();
  if (const double weight = config.get_or<double>("blc_weight", 0.0); weight != 0.0)
    losses.push_back({{"kind", "localized"}, {"coef", weight}, {"delta", config.get_or<double>("blc_alpha", 0.0)}});
  Json method = {{"method", name}, {"experts", experts}, {"router", {{"kind", "softmax"}}}, {"losses", losses}};
  read_targets(folder, method);
  return method;
}

bool suits(const std::vector<MethodEntry>& entries, bool shared_a) {
  return is_one(entries, "low_rank_experts", "softmax") && entries[0].experts.value("shared_a", false) == shared_a;
}

Json write_method(const OfficialExport& from, const char* layout, bool shared_a) {
  const MethodEntry& entry = from.entries.front();
  refuse_prior(entry, layout);
  refuse_patterns(entry, layout);
  OptionsLeft experts(entry.experts, "experts", layout), router(entry.router, "router", layout);
  Json config = write_low_rank(from, experts);
  config["peft_type"] = "LORA";
  config["lora_nums"] = one_expert_count(experts, layout);
  config["enable_lora"] = nullptr;
  config["merge_weights"] = false;
  experts.must_be("shared_a", shared_a);
  experts.must_be("split_rank", false);
  experts.refuse_rest();
  router.ignore({"init_std"});
  router.refuse_rest();
  return config;
}

}  // namespace

bool loramoe_recognises(const OfficialFolder& folder) {
  return folder.peft_type() == "LORA" && folder.has(kRoute) && folder.has(kFirstA);
}
bool hydralora_recognises(const OfficialFolder& folder) {
  return folder.peft_type() == "LORA" && folder.has(kRoute) && !folder.has(kFirstA);
}

bool loramoe_suits(const std::vector<MethodEntry>& entries) { return suits(entries, false); }
bool hydralora_suits(const std::vector<MethodEntry>& entries) { return suits(entries, true); }

Json loramoe_read(const OfficialFolder& folder) { return read_method(folder, "loramoe"); }
Json hydralora_read(const OfficialFolder& folder) { return read_method(folder, "hydralora"); }

Json loramoe_write(const OfficialExport& from) {
  Json config = write_method(from, "loramoe", false);
  config["blc_alpha"] = 0.0, config["blc_weight"] = 0.0;
  for (const GateLoss& loss : from.entries.front().losses)
    if (loss.kind == "localized") config["blc_alpha"] = loss.delta, config["blc_weight"] = loss.coef;
  return config;
}

Json hydralora_write(const OfficialExport& from) { return write_method(from, "hydralora", true); }

}  // namespace morex::adapters
