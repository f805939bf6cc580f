#include "recipe_of_case.h"

namespace morex::test {
namespace {

// Moves `from` of the case to `to` of the recipe; a key that is not there keeps the recipe's default.
void take(Json& config, Json& axis, const char* from, const char* to) {
  if (config.contains(from)) axis[to] = config[from];
  config.erase(from);
}

}  // namespace

std::optional<Json> recipe_of_case(const std::string& method, const Json& given) {
  Json config = given;
  if (method == "lora" || method == "rslora") {
    config["method"] = method;
    return config;
  }
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
