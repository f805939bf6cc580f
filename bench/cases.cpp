#include "cases.h"

#include <ATen/core/Tensor.h>

#include <vector>

#include "adapters/adapter_set.h"
#include "base/strings.h"
#include "train/phase_work.h"

namespace morex::bench {
namespace {

struct Case {
  const char* name;
  const char* method;
};

constexpr Case kCases[] = {
    // Forward, and backward to the inputs: the smallest adapter there is, at the bottom.
    {"frozen", R"({"method": "lora", "r": 1, "target_modules": ["model.layers.0.self_attn.q_proj"]})"},
    {"smore_4x4",
     R"({"method": "smore", "target_modules": ["gate_proj", "up_proj", "down_proj"],
         "experts": {"kind": "tree", "ranks": [8, 8], "pool": [4, 4], "active": [2, 2], "activation": "tanh"},
         "router": {"kind": "tree_keys", "gate": "switch", "gate_dims": [32, 32], "dim_downproj_x": 32}})"},
    {"trex_4x8", R"({"method": "trex", "target_modules": "all-linear"})"},
    // Without the preset's dropout, which its rival has not.
    {"mixlora_8x16",
     R"({"method": "mixlora", "experts": {"kind": "ffn_experts", "r": 16, "lora_alpha": 32, "num_experts": 8}})"},
    // Growth: the same total rank in 4 and in 32 experts; one, two and three levels.
    {"experts_4x16",
     R"({"target_modules": "all-linear", "router": {"kind": "top_k", "top_k": 2},
         "experts": {"kind": "low_rank_experts", "r": 16, "lora_alpha": 32, "num_experts": 4}})"},
    {"experts_32x2",
     R"({"target_modules": "all-linear", "router": {"kind": "top_k", "top_k": 2},
         "experts": {"kind": "low_rank_experts", "r": 2, "lora_alpha": 4, "num_experts": 32}})"},
    {"tree_4", R"({"method": "smore", "experts": {"kind": "tree", "ranks": [8], "pool": 4, "active": 2}})"},
    {"tree_4x4", R"({"method": "smore", "experts": {"kind": "tree", "ranks": [8, 8], "pool": 4, "active": 2}})"},
    {"tree_4x4x4", R"({"method": "smore", "experts": {"kind": "tree", "ranks": [8, 8, 8], "pool": 4, "active": 2}})"},
};

Json lora_like(const Json& method, models::CausalLm& model) {
  Warnings warnings(/*strict=*/false, /*print=*/false);
  const auto set = adapters::AdapterSet::create(method, model.slots(), at::kFloat, at::kMeta, warnings);
  return train::equal_lora_method(model, *set);
}

}  // namespace

Json method_of_case(const std::string& name, models::CausalLm& model) {
  const std::string preset = "preset:", like = "lora_like:", plain = "lora_r";
  if (name.starts_with(like)) return lora_like(method_of_case(name.substr(like.size()), model), model);
  if (name.starts_with(preset)) return {{"method", name.substr(preset.size())}};
  if (name.starts_with(plain)) {
    const std::string rank = name.substr(plain.size());
    MOREX_CHECK(!rank.empty() && rank.size() < 6 && rank.find_first_not_of("0123456789") == std::string::npos,
                ErrorKind::kConfig, "lora_rN needs a rank, got '{}'", name);
    const int64_t r = std::stoll(rank);
    return {{"method", "lora"}, {"r", r}, {"lora_alpha", 2 * r}, {"target_modules", "all-linear"}};
  }
  std::vector<std::string> names = {"lora_rN", "preset:NAME", "lora_like:CASE"};
  for (const Case& item : kCases) {
    if (name == item.name) return parse_json(item.method, name);
    names.emplace_back(item.name);
  }
  fail(ErrorKind::kConfig, "a case must be one of {}, got '{}'", join(names, ", "), name);
}

}  // namespace morex::bench
