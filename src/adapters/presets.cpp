#include "adapters/presets.h"

#include "base/strings.h"

namespace morex::adapters {
namespace {

struct Preset {
  const char* name;
  const char* method;
};

// S'MoRE's rows follow the paper's and the official example's settings (arXiv 2504.06426): feed-forward projections,
// tanh, switch gate, zero output projection.
constexpr Preset kPresets[] = {
    {"lora", R"({"experts": {"kind": "low_rank"}})"},
    {"rslora", R"({"experts": {"kind": "low_rank", "use_rslora": true}})"},
    {"dora", R"({"experts": {"kind": "low_rank", "use_dora": true}})"},
    {"lora_plus", R"({"experts": {"kind": "low_rank"}, "loraplus_lr_ratio": 16})"},
    {"pissa", R"({"experts": {"kind": "low_rank", "init_lora_weights": "pissa"}})"},
    {"moslora", R"({"target_modules": ["q_proj", "k_proj", "v_proj", "up_proj", "down_proj"],
                  "experts": {"kind": "low_rank", "mixer": true, "r": 16, "lora_alpha": 32}})"},
    {"hydralora", R"({"target_modules": ["gate_proj", "up_proj", "down_proj"],
                  "experts": {"kind": "low_rank_experts", "shared_a": true, "r": 4, "lora_alpha": 32,
                              "lora_dropout": 0.05, "num_experts": 4},
                  "router": {"kind": "softmax"}})"},
    {"loramoe", R"({"target_modules": ["gate_proj", "up_proj", "down_proj"],
                  "experts": {"kind": "low_rank_experts", "r": 4, "lora_alpha": 32, "lora_dropout": 0.05,
                              "num_experts": 8},
                  "router": {"kind": "softmax"}})"},
    {"mola", R"({"target_modules": "all-linear",
                  "experts": {"kind": "low_rank_experts", "r": 8, "lora_alpha": 16, "lora_dropout": 0.05,
                              "num_experts": 5},
                  "router": {"kind": "top_k", "top_k": 2}})"},
    {"mor", R"({"target_modules": "all-linear",
                  "experts": {"kind": "low_rank_experts", "r": 8, "lora_alpha": 16, "lora_dropout": 0.05,
                              "num_experts": 5},
                  "router": {"kind": "mixture_of_routers", "num_routers": 2, "router": {"kind": "top_k", "top_k": 2}},
                  "losses": [{"kind": "balance", "coef": 0.001, "scope": "layer", "padding": true,
                              "normalised": true}]})"},
    {"adamole", R"({"target_modules": ["q_proj", "k_proj", "v_proj", "o_proj"],
                  "experts": {"kind": "low_rank_experts", "r": 4, "lora_alpha": 16, "lora_dropout": 0.05,
                              "num_experts": 8},
                  "router": {"kind": "threshold", "max_threshold": 0.125},
                  "losses": [{"kind": "balance", "coef": 0.001, "padding": true}]})"},
    {"dynmole", R"({"target_modules": ["gate_proj", "up_proj", "down_proj"],
                  "experts": {"kind": "low_rank_experts", "r": 24, "lora_alpha": 48, "lora_dropout": 0.05,
                              "num_experts": 6},
                  "router": {"kind": "entropy"},
                  "losses": [{"kind": "entropy", "coef": 0.01, "scope": "model", "padding": true},
                             {"kind": "balance", "coef": 0.001, "scope": "model"}]})"},
    {"moelora", R"({"target_modules": "all-linear",
                  "experts": {"kind": "low_rank_experts", "split_rank": true, "r": 16, "lora_alpha": 32,
                              "lora_dropout": 0.1, "num_experts": 8, "init_std": 0.01},
                  "router": {"kind": "task", "tasks": 16, "task_dim": 64}})"},
    {"mixlora", R"({"target_modules": "all-linear",
                  "experts": {"kind": "ffn_experts", "r": 16, "lora_alpha": 32, "lora_dropout": 0.05, "num_experts": 8},
                  "router": {"kind": "top_k", "top_k": 2, "init_std": 0.02},
                  "losses": [{"kind": "balance", "coef": 0.01, "scope": "model"}]})"},
    {"mor_mixlora", R"({"target_modules": "all-linear",
                  "experts": {"kind": "ffn_experts", "r": 16, "lora_alpha": 32, "lora_dropout": 0.05, "num_experts": 8},
                  "router": {"kind": "mixture_of_routers", "num_routers": 2,
                             "router": {"kind": "top_k", "top_k": 2, "init_std": 0.02}},
                  "losses": [{"kind": "balance", "coef": 0.01, "scope": "model"}]})"},
    {"smore", R"({"target_modules": ["gate_proj", "up_proj", "down_proj"],
                  "experts": {"kind": "tree", "ranks": [8, 16]}, "router": {"kind": "tree_keys"},
                  "losses": [{"kind": "balance", "coef": 0.01}]})"},
    {"smore_shared", R"({"target_modules": ["gate_proj", "up_proj", "down_proj"],
                  "experts": {"kind": "tree", "ranks": [8, 8], "shared_pool": true}, "router": {"kind": "tree_keys"},
                  "losses": [{"kind": "balance", "coef": 0.01}]})"},
    {"trex", R"({"target_modules": "all-linear",
                  "experts": {"kind": "rank_one_pairs", "rank_allocation": [4, 8]},
                  "router": {"kind": "pair_softmax"}, "prior": {"kind": "clusters"}})"},
};

}  // namespace

Json preset(const std::string& name) {
  std::vector<std::string> names;
  for (const Preset& row : kPresets) {
    if (name == row.name) return parse_json(row.method, "preset " + name, ErrorKind::kConfig);
    names.emplace_back(row.name);
  }
  fail(ErrorKind::kConfig, "[method] must be one of {}, got '{}'.{}", join(names, ", "), name,
       did_you_mean(name, names));
}

}  // namespace morex::adapters
