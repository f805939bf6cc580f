#include "adapters/presets.h"

#include "base/strings.h"

namespace morex::adapters {
namespace {

struct Preset {
  const char* name;
  const char* method;
};

// The papers' and their official scripts' numbers; presets_test.cpp pins each. LoRA's are PEFT's defaults. What a row
// leaves out is the kind's own default, where other choices on the same axis may need another number (the clusters'
// coefficients), or a level's (trees of any depth).
// MoLA's script gives 2, 4, 6 and 8 experts to the quarters of 32 layers; a preset cannot know the model's layers and
// takes their mean, as many parameters in all. MixLoRA: the README's coefficient of the loss, its code has 0.001.
// S'MoRE: the paper's and the official example's settings: feed-forward projections, tanh, switch, zero output.
constexpr Preset kPresets[] = {
    {"lora", R"({"experts": {"kind": "low_rank", "r": 8, "lora_alpha": 8}})"},
    {"rslora", R"({"experts": {"kind": "low_rank", "r": 8, "lora_alpha": 8, "use_rslora": true}})"},
    {"dora", R"({"experts": {"kind": "low_rank", "r": 8, "lora_alpha": 8, "use_dora": true}})"},
    {"lora_plus", R"({"experts": {"kind": "low_rank", "r": 8, "lora_alpha": 8}, "loraplus_lr_ratio": 16})"},
    {"pissa", R"({"experts": {"kind": "low_rank", "r": 8, "lora_alpha": 8, "init_lora_weights": "pissa"}})"},
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
                  "router": {"kind": "entropy", "top_p": 0.75, "keep_top_k": 2, "entropy_threshold": 0.9,
                             "entropy_type": "tsallis", "entropy_index": 1.1, "entropy_eps": 1e-5},
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
                  "experts": {"kind": "tree", "ranks": [8, 16], "pool": 4, "active": 2, "activation": "tanh",
                              "init": "w_final_zero"},
                  "router": {"kind": "tree_keys", "gate": "switch", "gate_dims": 32, "gate_activation": "relu",
                             "dim_downproj_x": 32},
                  "losses": [{"kind": "balance", "coef": 0.01}]})"},
    {"smore_shared", R"({"target_modules": ["gate_proj", "up_proj", "down_proj"],
                  "experts": {"kind": "tree", "ranks": [8, 8], "pool": 4, "active": 2, "activation": "tanh",
                              "init": "w_final_zero", "shared_pool": true},
                  "router": {"kind": "tree_keys", "gate": "switch", "gate_dims": 32, "gate_activation": "relu",
                             "dim_downproj_x": 32},
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
