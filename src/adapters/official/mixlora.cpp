// MixLoRA (TUDB-Labs/MixLoRA, MoE-PEFT): experts of the whole feed-forward block, plain LoRA on attention, our tensor
// names behind the prefix "mixlora.". Older files call the strategy mixtral and the projections w1, w2, w3.
#include <algorithm>
#include <map>

#include "adapters/official/moe_peft.h"
#include "adapters/official/table.h"
#include "adapters/peft_config.h"
#include "base/error.h"
#include "base/strings.h"

namespace morex::adapters {
namespace {

constexpr const char* kLayout = "mixlora";

bool in_block(const std::string& target) {
  return target == "gate_proj" || target == "up_proj" || target == "down_proj";
}

std::string present_name(const std::string& target) {
  if (target == "w1_proj") return "gate_proj";
  if (target == "w2_proj") return "down_proj";
  return target == "w3_proj" ? "up_proj" : target;
}

// The experts' non-linearity is the base's here; left out it is so there, too.
void check_activation(const OfficialFolder& folder) {
  const auto given = folder.config.find<std::string>("act_fn");
  if (!given || folder.slots.mlps.empty()) return;
  const std::map<std::string, nn::Activation> names = {{"silu", nn::Activation::kSilu},
                                                       {"gelu", nn::Activation::kGelu},
                                                       {"gelu_new", nn::Activation::kGeluTanh},
                                                       {"gelu_pytorch_tanh", nn::Activation::kGeluTanh},
                                                       {"relu", nn::Activation::kRelu}};
  const auto found = names.find(*given);
  MOREX_CHECK(found != names.end() && found->second == folder.slots.mlps.front()->activation, ErrorKind::kFormat,
              "[{}] act_fn: '{}' is not supported, only the base's own non-linearity is", folder.config.where(),
              *given);
}

Json read_router(const OfficialFolder& folder, std::vector<std::string>& read) {
  const JsonReader& config = folder.config;
  const auto strategy = config.get<std::string>("routing_strategy");
  Json router;
  const auto take = [&](const char* key) {
    read.emplace_back(key);
    if (config.has(key)) router[key] = config.raw(key);
  };
  if (strategy == "mixlora" || strategy == "mixtral") {
    router = {{"kind", "top_k"}};
    take("top_k");
  } else if (strategy == "mixlora-dynamic") {
    router = {{"kind", "top_p"}};
    take("top_p");
    take("temperature");
  } else {
    MOREX_CHECK(strategy == "mixlora-switch", ErrorKind::kFormat,
                "[{}] routing_strategy must be mixlora, mixtral, mixlora-dynamic or mixlora-switch, got '{}'",
                config.where(), strategy);
    router = {{"kind", "switch"}};
    take("expert_capacity");
    read.emplace_back("sparse_step");
    MOREX_CHECK(config.get_or<int64_t>("sparse_step", 1) == 1, ErrorKind::kFormat,
                "[{}] sparse_step: {} is not supported, only experts in every layer are", config.where(),
                config.raw("sparse_step").dump());
  }
  return router;
}

// The block's experts may have a rank of their own.
Json read_experts(const OfficialFolder& folder, const Json& lora) {
  const JsonReader& config = folder.config;
  Json experts = lora;
  experts["kind"] = "ffn_experts";
  experts["num_experts"] = config.get<int64_t>("num_experts");
  if (!config.has("expert_lora")) return experts;
  const JsonReader own(config.raw("expert_lora"), config.where() + " expert_lora");
  check_other_keys(own, {"r", "lora_alpha", "lora_dropout", "use_rslora"}, folder.warnings);
  for (const char* key : {"r", "lora_alpha", "lora_dropout", "use_rslora"})
    if (own.has(key)) experts[key] = own.raw(key);
  return experts;
}

}  // namespace

bool mixlora_recognises(const OfficialFolder& folder) { return folder.peft_type() == "MIXLORA"; }

bool mixlora_suits(const std::vector<MethodEntry>& entries) {
  const auto is_block = [](const MethodEntry& entry) {
    static const std::vector<std::string> routers = {"top_k", "top_p", "switch"};
    return entry.experts.at("kind") == "ffn_experts" &&
           std::find(routers.begin(), routers.end(), entry.router.at("kind").get<std::string>()) != routers.end();
  };
  const auto is_lora = [](const MethodEntry& entry) {
    return entry.experts.at("kind") == "low_rank" && entry.router.at("kind") == "none";
  };
  return is_block(entries[0]) && (entries.size() == 1 || (entries.size() == 2 && is_lora(entries[1])));
}

Json mixlora_read(const OfficialFolder& folder) {
  const JsonReader& config = folder.config;
  std::vector<std::string> read = moe_peft_training_keys();
  for (const char* key : {"r", "lora_alpha", "lora_dropout", "target_modules", "use_rslora", "routing_strategy",
                          "num_experts", "act_fn", "expert_lora"})
    read.emplace_back(key);
  const Json router = read_router(folder, read);
  check_other_keys(config, read, folder.warnings);
  check_activation(folder);
  Json lora = read_low_rank(folder, "low_rank");
  if (config.get_or<bool>("use_rslora", false)) lora["use_rslora"] = true;
  const Json experts = read_experts(folder, lora);
  std::vector<std::string> block, attention;
  for (const std::string& target : moe_peft_targets(folder)) {
    const std::string name = present_name(target);
    (in_block(name) ? block : attention).push_back(name);
  }
  MOREX_CHECK(block.size() == 3, ErrorKind::kFormat,
              "[{}] target_modules must hold gate_proj, up_proj and down_proj, got {}", config.where(),
              config.raw("target_modules").dump());
  const Json method = {{"method", "mixlora"}, {"experts", experts}, {"router", router}, {"target_modules", block}};
  if (attention.empty()) return method;
  return {{"adapters", {method, {{"experts", lora}, {"target_modules", attention}}}}};
}

Json mixlora_write(const OfficialExport& from) {
  const MethodEntry& entry = from.entries.front();
  for (const MethodEntry& each : from.entries) {
    refuse_prior(each, kLayout);
    refuse_patterns(each, kLayout);
  }
  OptionsLeft experts(entry.experts, "experts", kLayout), router(entry.router, "router", kLayout);
  const Json count = one_expert_count(experts, kLayout);
  Json config = write_moe_peft(from, experts, kLayout);
  experts.refuse_rest();
  if (from.entries.size() == 2) {
    Json own = Json::object();
    for (const char* key : {"r", "lora_alpha", "lora_dropout", "use_rslora"})
      if (config.contains(key)) own[key] = config[key];
    OptionsLeft attention(from.entries[1].experts, "experts", kLayout);
    config = write_moe_peft(from, attention, kLayout);
    for (const char* key : {"use_dora", "mixer"}) attention.must_be(key, false);
    attention.refuse_rest();
    bool same = true;
    for (const auto& [key, value] : own.items()) same = same && config.value(key, Json(false)) == value;
    if (!same || config.contains("use_rslora") != own.contains("use_rslora")) {
      if (config.contains("use_rslora") && !own.contains("use_rslora")) own["use_rslora"] = false;
      own["bias"] = "none";
      config["expert_lora"] = own;
    }
  }
  config["peft_type"] = "MIXLORA";
  config["num_experts"] = count;
  const std::string kind = entry.router.at("kind");
  if (kind == "top_k") {
    config["routing_strategy"] = "mixlora";
    config["top_k"] = router.take("top_k", 2);
    router.must_be("renormalise", true);
  } else if (kind == "top_p") {
    config["routing_strategy"] = "mixlora-dynamic";
    config["top_p"] = router.take("top_p", 0.8);
    config["temperature"] = router.take("temperature", 0.0);
  } else {
    config["routing_strategy"] = "mixlora-switch";
    config["expert_capacity"] = router.take("expert_capacity", 32);
    config["sparse_step"] = nullptr;
  }
  router.ignore({"init_std"});
  router.refuse_rest();
  return config;
}

}  // namespace morex::adapters
