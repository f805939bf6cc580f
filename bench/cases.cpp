#include "cases.h"

#include "base/error.h"

namespace morex::bench {
namespace {

struct Case {
  const char* name;
  const char* method;
};

constexpr Case kCases[] = {
    {"lora_r16", R"({"method": "lora", "r": 16, "lora_alpha": 32, "target_modules": "all-linear"})"},
    {"lora_r8", R"({"method": "lora", "r": 8, "lora_alpha": 16, "target_modules": "all-linear"})"},
    // About as many parameters as smore_4x4: a rank that fits on the three FFN projections.
    {"lora_ffn_r84",
     R"({"method": "lora", "r": 84, "lora_alpha": 168, "target_modules": ["gate_proj", "up_proj", "down_proj"]})"},
    {"smore_4x4",
     R"({"method": "smore", "target_modules": ["gate_proj", "up_proj", "down_proj"],
         "experts": {"kind": "tree", "ranks": [8, 8], "pool": [4, 4], "active": [2, 2], "activation": "tanh"},
         "router": {"kind": "tree_keys", "gate": "switch", "gate_dims": [32, 32], "dim_downproj_x": 32}})"},
    {"mola", R"({"method": "mola"})"},
    {"trex", R"({"method": "trex", "prior": {"kind": "clusters", "use_scores": false}})"},
};

}  // namespace

Json method_of_case(const std::string& name) {
  for (const Case& item : kCases)
    if (name == item.name) return parse_json(item.method, name);
  fail(ErrorKind::kConfig, "unknown case '{}'", name);
}

data::Batch fixed_batch(int64_t rows, int64_t length, int64_t vocabulary) {
  data::Batch batch;
  batch.rows = rows;
  batch.length = length;
  for (int64_t i = 0; i < rows * length; ++i)
    batch.ids.push_back((37 * i % 8191 * (i % 8191) + 101 * i + 11) % vocabulary);
  batch.labels = batch.ids;
  batch.lengths.assign(static_cast<size_t>(rows), length);
  for (int64_t r = 0; r < rows; ++r) batch.examples.push_back(r);
  return batch;
}

}  // namespace morex::bench
