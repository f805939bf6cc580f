#include "ffn_recipes.h"

namespace morex::test {
namespace {

// Moves `from` of the case to `to` of the recipe; a key that is not there keeps the recipe's default.
void take(Json& config, Json& axis, const char* from, const char* to) {
  if (config.contains(from)) axis[to] = config[from];
  config.erase(from);
}

// The loss whose coefficient stands under `key`, over all blocks at once; none without the key or with 0.
void take_loss(Json& config, Json& losses, const char* key, Json loss) {
  if (config.value(key, 0.0) != 0.0) {
    loss["coef"] = config[key];
    loss["scope"] = "model";
    losses.push_back(std::move(loss));
  }
  config.erase(key);
}

}  // namespace

std::optional<Json> ffn_recipe(const std::string& method, const Json& given) {
  if (method != "mixlora" && method != "mor_mixlora") return std::nullopt;
  Json config = given;
  const std::string strategy = config.value("routing_strategy", "mixlora");
  for (const char* key : {"routing_strategy", "act_fn"}) config.erase(key);
  Json experts = {{"kind", "ffn_experts"}}, router, losses = Json::array();
  for (const char* key : {"r", "lora_alpha", "use_rslora", "num_experts"}) take(config, experts, key, key);

  // Only the plain strategy leaves padded tokens out of its losses.
  const bool padding = strategy != "mixlora";
  if (strategy == "mixlora-dynamic") {
    router["kind"] = "top_p";
    take(config, router, "top_p", "top_p");
    take(config, router, "temperature", "temperature");
  } else if (strategy == "mixlora-switch") {
    router["kind"] = "switch";
    take(config, router, "expert_capacity", "expert_capacity");
    take_loss(config, losses, "router_z_loss_coef", {{"kind", "z"}, {"padding", padding}});
  } else {
    router["kind"] = "top_k";
    take(config, router, "top_k", "top_k");
    take(config, router, "renormalise", "renormalise");
  }
  Json entropy = {{"kind", "entropy"}, {"padding", true}};
  for (const char* key : {"entropy_type", "entropy_index", "entropy_eps"}) take(config, entropy, key, key);
  take_loss(config, losses, "router_dyn_loss_coef", entropy);
  take_loss(config, losses, "router_aux_loss_coef", {{"kind", "balance"}, {"padding", padding}});
  if (config.contains("num_routers")) {
    Json mixture = {{"kind", "mixture_of_routers"}, {"router", router}};
    take(config, mixture, "num_routers", "num_routers");
    take(config, mixture, "router_combine", "combine");
    take(config, mixture, "router_weighting", "weighting");
    take(config, mixture, "router_select", "select");
    take(config, mixture, "router_main_top_n", "main_top_n");
    take_loss(config, losses, "main_balance_coef", {{"kind", "main_balance"}, {"padding", padding}});
    router = mixture;
  }
  MOREX_CHECK(config.empty(), ErrorKind::kConfig, "[case] every key must have a place in a recipe, left: {}",
              config.dump());
  return Json{{"experts", experts}, {"router", router}, {"losses", losses}};
}

}  // namespace morex::test
