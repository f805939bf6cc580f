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
    {"smore", R"({"target_modules": ["gate_proj", "up_proj", "down_proj"],
                  "experts": {"kind": "tree", "ranks": [8, 16]}, "router": {"kind": "tree_keys"},
                  "losses": [{"kind": "balance", "coef": 0.01}]})"},
    {"smore_shared", R"({"target_modules": ["gate_proj", "up_proj", "down_proj"],
                  "experts": {"kind": "tree", "ranks": [8, 8], "shared_pool": true}, "router": {"kind": "tree_keys"},
                  "losses": [{"kind": "balance", "coef": 0.01}]})"},
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
