// AdaMoLE, and MoLE of the same code (zefang-liu/AdaMoLE): peft_type ADAMOLE with max_threshold, MOLE with top_k or
// threshold; lora_rank is the rank of one expert. Files also hold the experts under moe_layer once more.
#include "adapters/official/common.h"
#include "adapters/official/table.h"
#include "adapters/peft_config.h"
#include "base/error.h"

namespace morex::adapters {
namespace {

constexpr const char* kLayout = "adamole";

}  // namespace

bool adamole_recognises(const OfficialFolder& folder) {
  return folder.peft_type() == "ADAMOLE" || folder.peft_type() == "MOLE";
}

bool adamole_suits(const std::vector<MethodEntry>& entries) {
  return (is_one(entries, "low_rank_experts", "threshold") || is_one(entries, "low_rank_experts", "top_k")) &&
         !entries[0].experts.value("shared_a", false) && !entries[0].experts.value("split_rank", false);
}

Json adamole_read(const OfficialFolder& folder) {
  const JsonReader& config = folder.config;
  const bool learned = folder.peft_type() == "ADAMOLE";
  std::vector<std::string> read = target_keys();
  for (const char* key : {"lora_rank", "lora_alpha", "lora_dropout", "num_experts"}) read.emplace_back(key);
  Json router = {{"kind", "threshold"}};
  const auto take = [&](const char* key) {
    read.emplace_back(key);
    if (config.has(key)) router[key] = config.raw(key);
  };
  if (learned) {
    take("max_threshold");
  } else {
    MOREX_CHECK(config.has("top_k") != config.has("threshold"), ErrorKind::kFormat,
                "[{}] MOLE must have one of top_k and threshold", config.where());
    if (config.has("top_k")) router["kind"] = "top_k";
    take("top_k");
    take("threshold");
  }
  check_other_keys(config, read, folder.warnings);
  Json experts = read_low_rank(folder, "low_rank_experts", "lora_rank");
  experts["num_experts"] = config.get<int64_t>("num_experts");
  Json method = {{"experts", experts}, {"router", router}};
  if (learned) method["method"] = "adamole";
  read_targets(folder, method);
  return method;
}

Json adamole_write(const OfficialExport& from) {
  const MethodEntry& entry = from.entries.front();
  refuse_prior(entry, kLayout);
  refuse_patterns(entry, kLayout);
  OptionsLeft experts(entry.experts, "experts", kLayout), router(entry.router, "router", kLayout);
  Json config = write_low_rank(from, experts);
  config["lora_rank"] = config["r"];
  config.erase("r");
  config["num_experts"] = one_expert_count(experts, kLayout);
  experts.must_be("shared_a", false);
  experts.must_be("split_rank", false);
  experts.refuse_rest();
  config["peft_type"] = "MOLE";
  if (entry.router.at("kind") == "top_k") {
    config["top_k"] = router.take("top_k", 2);
    router.must_be("renormalise", true);
  } else if (entry.router.contains("threshold")) {
    config["threshold"] = router.take("threshold", Json());
  } else {
    config["peft_type"] = "ADAMOLE";
    config["max_threshold"] = router.take("max_threshold", 1.0 / config["num_experts"].get<double>());
  }
  router.ignore({"init_std"});
  router.refuse_rest();
  return config;
}

}  // namespace morex::adapters
