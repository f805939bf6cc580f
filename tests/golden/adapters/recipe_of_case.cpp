#include "recipe_of_case.h"

#include "ffn_recipes.h"
#include "flat_recipes.h"

namespace morex::test {
namespace {

// Moves `from` of the case to `to` of the recipe; a key that is not there keeps the recipe's default.
void take(Json& config, Json& axis, const char* from, const char* to) {
  if (config.contains(from)) axis[to] = config[from];
  config.erase(from);
}

}  // namespace

namespace {

// The modes of T-REX's code base; coefficients and gate scale of the case.
Json trex_recipe(Json config) {
  const std::string mode = config.value("moe_mode", "rank1_flex");
  Json experts = {{"kind", "rank_one_pairs"}}, router = {{"kind", "pair_softmax"}}, prior = {{"kind", "clusters"}};
  take(config, experts, "rank_allocation", "rank_allocation");
  if (config.contains("lora_rank")) {
    experts["rank_allocation"] = {config["lora_rank"], config["lora_rank"]};
    experts["layout"] = mode == "rank1" ? "matched" : "interleaved";
  }
  if (config.contains("gate_scale")) experts["gate_scale"] = config["gate_scale"];
  take(config, prior, "gate_scale", "gate_scale");
  prior["token_coefficient"] = 32.0, prior["task_coefficient"] = 4.0;
  take(config, prior, "token_coefficient", "token_coefficient");
  take(config, prior, "task_coefficient", "task_coefficient");
  if (config.value("topk", -1) > 0)
    (config.value("topk_mode", "routing") == "routing" ? prior : router)["top_k"] = config["topk"];
  if (config.value("ablation", "") == "intuition") prior["use_scores"] = false;
  if (mode == "sira") router["top_k"] = 6;
  if (mode == "lora" || mode == "sira") prior = {{"kind", "none"}};
  for (const char* key : {"moe_mode", "lora_rank", "topk", "topk_mode", "ablation"}) config.erase(key);
  MOREX_CHECK(config.empty(), ErrorKind::kConfig, "[case] every key must have a place in a recipe, left: {}",
              config.dump());
  return {{"experts", experts}, {"router", router}, {"prior", prior}};
}

}  // namespace

bool can_gather(const Json& recipe) {
  const Json experts = recipe.value("experts", Json::object());
  return experts.value("kind", "") == "low_rank_experts" && !experts.value("shared_a", false);
}

std::optional<Json> recipe_of_case(const std::string& method, const Json& given) {
  Json config = given;
  if (method == "lora" || method == "rslora" || method == "dora" || method == "pissa" || method == "moslora") {
    config["method"] = method;
    return config;
  }
  if (method == "trex") return trex_recipe(config);
  if (auto flat = flat_recipe(method, config)) return flat;
  if (auto ffn = ffn_recipe(method, config)) return ffn;
  if (method != "smore") return std::nullopt;
  Json experts = {{"kind", "tree"}}, router = {{"kind", "tree_keys"}};
  take(config, experts, "expert_dims", "ranks");
  take(config, experts, "num_experts", "pool");
  take(config, experts, "num_active", "active");
  take(config, experts, "expert_act_fn", "activation");
  take(config, experts, "activation_position", "activation_position");
  take(config, experts, "lora_alpha", "alpha");
  take(config, experts, "is_shared_expert_pool", "shared_pool");
  take(config, experts, "init_method", "init");
  take(config, router, "gate_type", "gate");
  take(config, router, "gate_dims", "gate_dims");
  take(config, router, "gate_act_fn", "gate_activation");
  take(config, router, "dim_downproj_x", "dim_downproj_x");
  Json loss = {{"kind", "balance"}};
  take(config, loss, "balance_loss_weight", "coef");
  MOREX_CHECK(config.empty(), ErrorKind::kConfig, "[case] every key must have a place in a recipe, left: {}",
              config.dump());
  return Json{{"method", "smore"}, {"experts", experts}, {"router", router}, {"losses", Json::array({loss})}};
}

}  // namespace morex::test
