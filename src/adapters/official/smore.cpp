// S'MoRE (ZimpleX/SMoRE-LLM): a PEFT of its own with peft_type HIER_MOE. Its tensors have our names; the shared pool of
// S'MoRE# stands there once for every level.
#include <algorithm>
#include <cmath>

#include "adapters/level_list.h"
#include "adapters/official/common.h"
#include "adapters/official/table.h"
#include "adapters/peft_config.h"
#include "adapters/structure/tree_options.h"
#include "base/error.h"

namespace morex::adapters {
namespace {

struct Key {
  const char* official;
  const char* ours;
};

constexpr Key kExpertKeys[] = {{"expert_dims", "ranks"},        {"num_experts", "pool"},
                               {"num_active", "active"},        {"lora_alpha", "alpha"},
                               {"expert_act_fn", "activation"}, {"activation_position", "activation_position"},
                               {"init_method", "init"},         {"is_shared_expert_pool", "shared_pool"}};

constexpr Key kRouterKeys[] = {{"gate_type", "gate"},
                               {"gate_dims", "gate_dims"},
                               {"gate_act_fn", "gate_activation"},
                               {"dim_downproj_x", "dim_downproj_x"}};

bool is_shared(const OfficialFolder& folder) { return folder.config.get_or<bool>("is_shared_expert_pool", false); }

// lora_scaling repeats for its log what follows from lora_alpha.
void check_scaling(const JsonReader& config) {
  if (!config.has("lora_scaling")) return;
  const auto scaling = config.get<std::vector<double>>("lora_scaling");
  const auto ranks = config.get<std::vector<double>>("expert_dims");
  const auto alpha = config.has("lora_alpha") ? config.get<std::vector<double>>("lora_alpha") : ranks;
  bool same = scaling.size() == ranks.size() && alpha.size() == ranks.size();
  for (size_t l = 0; same && l < ranks.size(); ++l)
    same = std::abs(scaling[l] - alpha[l] / ranks[l]) <= 1e-6 * std::abs(scaling[l]);
  MOREX_CHECK(same, ErrorKind::kFormat,
              "[{}] lora_scaling must be lora_alpha / expert_dims (1 without lora_alpha), got {}", config.where(),
              config.raw("lora_scaling").dump());
}

bool is_tree(const std::vector<MethodEntry>& entries, bool shared) {
  return is_one(entries, "tree", "tree_keys") && entries[0].experts.value("shared_pool", false) == shared;
}

}  // namespace

bool smore_recognises(const OfficialFolder& folder) { return folder.peft_type() == "HIER_MOE" && !is_shared(folder); }
bool smore_shared_recognises(const OfficialFolder& folder) {
  return folder.peft_type() == "HIER_MOE" && is_shared(folder);
}
bool smore_suits(const std::vector<MethodEntry>& entries) { return is_tree(entries, false); }
bool smore_shared_suits(const std::vector<MethodEntry>& entries) { return is_tree(entries, true); }

Json smore_read(const OfficialFolder& folder) {
  const JsonReader& config = folder.config;
  std::vector<std::string> read = target_keys();
  // What changes nothing: how the layer is computed, what was never read, where values started.
  for (const char* key : {"balance_loss_weight", "gate_arch", "layer_forward_mode", "lora_scaling", "moe_arch",
                          "moe_dropout", "init_moe_weights"})
    read.emplace_back(key);
  Json experts = {{"kind", "tree"}}, router = {{"kind", "tree_keys"}};
  const auto take = [&](const Key& key, Json& axis) {
    read.emplace_back(key.official);
    if (config.has(key.official)) axis[key.ours] = config.raw(key.official);
  };
  for (const Key& key : kExpertKeys) take(key, experts);
  for (const Key& key : kRouterKeys) take(key, router);
  check_other_keys(config, read, folder.warnings);
  for (const char* key : {"expert_dims", "num_experts", "num_active", "gate_dims"})
    MOREX_CHECK(config.raw(key).is_array(), ErrorKind::kFormat,
                "[{}] {} must be a list with one number per level, got {}", config.where(), key,
                config.raw(key).dump());
  // The project's own defaults, where a key is left out.
  struct Default {
    Json* axis;
    const char *key, *value;
  };
  for (const Default& each : {Default{&experts, "activation", "relu"}, Default{&router, "gate", "noisy_topk"},
                              Default{&router, "gate_activation", "relu"}})
    if (!each.axis->contains(each.key)) (*each.axis)[each.key] = each.value;
  const auto arch = config.get_or<std::string>("gate_arch", "mlp");
  MOREX_CHECK(arch == "mlp", ErrorKind::kFormat, "[{}] gate_arch: '{}' is not supported, only mlp is", config.where(),
              arch);
  check_scaling(config);
  const auto balance = config.get_or<double>("balance_loss_weight", 0.01);
  Json losses = Json::array();
  if (balance != 0.0) losses.push_back({{"kind", "balance"}, {"coef", balance}});
  Json method = {{"method", "smore"}, {"experts", experts}, {"router", router}, {"losses", losses}};
  read_targets(folder, method);
  return method;
}

Json smore_write(const OfficialExport& from) {
  const MethodEntry& entry = from.entries.front();
  const char* layout = "smore";
  refuse_prior(entry, layout);
  refuse_patterns(entry, layout);
  Warnings silent(false, false);
  const TreeOptions tree = read_tree_options(entry.experts, silent);  // every default spelled out
  OptionsLeft router(entry.router, "router", layout);
  const Json widths =
      level_integers(JsonReader(entry.router, "router", ErrorKind::kConfig), "gate_dims", tree.levels(), 32, 1);
  router.ignore({"gate_dims"});
  Json config = {{"peft_type", "HIER_MOE"},
                 {"task_type", "CAUSAL_LM"},
                 {"inference_mode", true},
                 {"bias", "none"},
                 {"modules_to_save", nullptr},
                 {"target_modules", from.targets},
                 {"moe_arch", "llama_moe"},
                 {"gate_arch", "mlp"},
                 {"layer_forward_mode", "subgraph"},
                 {"expert_dims", tree.ranks},
                 {"num_experts", tree.pool},
                 {"num_active", tree.active},
                 {"lora_alpha", tree.alpha.empty() ? Json() : Json(tree.alpha)},
                 {"expert_act_fn", entry.experts.value("activation", "tanh")},
                 {"activation_position", entry.experts.value("activation_position", "all")},
                 {"init_method", entry.experts.value("init", "w_final_zero")},
                 {"is_shared_expert_pool", tree.shared_pool},
                 {"gate_type", router.take("gate", "switch")},
                 {"gate_dims", widths},
                 {"gate_act_fn", router.take("gate_activation", "relu")},
                 {"dim_downproj_x", router.take("dim_downproj_x", 32)}};
  router.refuse_rest();
  for (const GateLoss& loss : entry.losses)
    if (loss.kind == "balance") config["balance_loss_weight"] = loss.coef;
  return config;
}

std::vector<std::string> smore_copies(const OfficialExport& from, const std::string& official) {
  std::vector<std::string> copies;
  for (const char* pooled : {"moe_A.0", "moe_A_bias.0", "moe_B.0", "moe_B_bias.0"}) {
    if (!official.ends_with(std::string(".") + pooled)) continue;
    const size_t levels = from.entries.front().experts.at("ranks").size();
    for (size_t l = 1; l < levels; ++l) copies.push_back(official.substr(0, official.size() - 1) + std::to_string(l));
  }
  return copies;
}

}  // namespace morex::adapters
