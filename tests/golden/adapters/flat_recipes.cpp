#include "flat_recipes.h"

namespace morex::test {
namespace {

// The parts of a recipe that a case's keys are moved to.
struct Parts {
  Json config, experts = {{"kind", "low_rank_experts"}}, router = Json::object(), losses = Json::array();

  // A key that is not there keeps the recipe's default.
  void take(Json& axis, const char* from, const char* to) {
    if (config.contains(from)) axis[to] = config[from];
    config.erase(from);
  }
  void take_experts(const char* rank, const char* count) {
    take(experts, rank, "r");
    take(experts, "lora_alpha", "lora_alpha");
    take(experts, count, "num_experts");
  }
  // A loss whose coefficient stands under `key`; none without the key or with 0.
  void take_loss(const char* key, Json loss) {
    if (config.value(key, 0.0) != 0.0) {
      loss["coef"] = config[key];
      losses.push_back(std::move(loss));
    }
    config.erase(key);
  }
  Json recipe() const {
    MOREX_CHECK(config.empty(), ErrorKind::kConfig, "[case] every key must have a place in a recipe, left: {}",
                config.dump());
    return {{"experts", experts}, {"router", router}, {"losses", losses}};
  }
};

Json mola_recipe(Parts parts) {
  parts.take_experts("r", "num_experts");
  parts.router["kind"] = "top_k";
  parts.take(parts.router, "top_k", "top_k");
  parts.take(parts.router, "renormalise", "renormalise");
  parts.take_loss("router_aux_loss_coef",
                  {{"kind", "balance"}, {"scope", "layer"}, {"padding", true}, {"normalised", true}});
  return parts.recipe();
}

// MoR's reconstruction on MoLA: the host's case with the mixture around its router.
Json mor_recipe(Parts parts) {
  Json mixture = {{"kind", "mixture_of_routers"}};
  for (const char* key : {"combine", "weighting", "select", "main_top_n"})
    parts.take(mixture, (std::string("router_") + key).c_str(), key);
  parts.take(mixture, "num_routers", "num_routers");
  parts.take_loss("main_balance_coef", {{"kind", "main_balance"}, {"scope", "layer"}, {"padding", true}});
  Json recipe = mola_recipe(std::move(parts));
  mixture["router"] = recipe["router"];
  recipe["router"] = mixture;
  return recipe;
}

Json adamole_recipe(Parts parts) {
  parts.take_experts("lora_rank", "num_experts");
  parts.router["kind"] = parts.config.contains("top_k") ? "top_k" : "threshold";
  for (const char* key : {"top_k", "threshold", "max_threshold"}) parts.take(parts.router, key, key);
  parts.take_loss("aux_loss_coef", {{"kind", "balance"}, {"padding", true}});
  return parts.recipe();
}

Json dynmole_recipe(Parts parts) {
  parts.take_experts("r", "num_experts");
  parts.router["kind"] = "entropy";
  for (const char* key : {"top_p", "keep_top_k", "entropy_threshold", "entropy_index", "entropy_type", "entropy_eps"})
    parts.take(parts.router, key, key);
  parts.take_loss("router_dyn_loss_coef", {{"kind", "entropy"}, {"scope", "model"}, {"padding", true}});
  parts.take_loss("router_aux_loss_coef", {{"kind", "balance"}, {"scope", "model"}});
  return parts.recipe();
}

Json moelora_recipe(Parts parts) {
  parts.take_experts("r", "expert_num");
  parts.experts["split_rank"] = true;
  parts.router["kind"] = "task";
  parts.take(parts.router, "task_num", "tasks");
  parts.take(parts.router, "task_embedding_dim", "task_dim");
  return parts.recipe();
}

Json loramoe_recipe(Parts parts, bool shared_a) {
  parts.take_experts("r", "lora_nums");
  parts.router["kind"] = "softmax";
  if (shared_a) parts.experts["shared_a"] = true;
  Json loss = {{"kind", "localized"}};
  parts.take(loss, "blc_alpha", "delta");
  parts.take_loss("blc_weight", loss);
  return parts.recipe();
}

}  // namespace

std::optional<Json> flat_recipe(const std::string& method, const Json& config) {
  Parts parts;
  parts.config = config;
  if (method == "mola") return mola_recipe(std::move(parts));
  if (method == "mor") return mor_recipe(std::move(parts));
  if (method == "adamole") return adamole_recipe(std::move(parts));
  if (method == "dynmole") return dynmole_recipe(std::move(parts));
  if (method == "moelora") return moelora_recipe(std::move(parts));
  if (method == "loramoe" || method == "hydralora") return loramoe_recipe(std::move(parts), method == "hydralora");
  return std::nullopt;
}

std::string official_layout(const std::string& method) {
  for (const char* layout : {"loramoe", "hydralora", "adamole", "moelora"})
    if (method == layout) return layout;
  return "";
}

}  // namespace morex::test
