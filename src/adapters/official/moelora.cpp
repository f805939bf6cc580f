// MOELoRA (liuqidong07/MOELoRA-peft): peft_type MMOELORA; r is the rank of all experts together. Files also hold each
// expert's matrices under a second name.
#include "adapters/official/common.h"
#include "adapters/official/table.h"
#include "adapters/peft_config.h"
#include "base/error.h"

namespace morex::adapters {
namespace {

constexpr const char* kLayout = "moelora";

}  // namespace

bool moelora_recognises(const OfficialFolder& folder) { return folder.peft_type() == "MMOELORA"; }

bool moelora_suits(const std::vector<MethodEntry>& entries) {
  return is_one(entries, "low_rank_experts", "task") && entries[0].experts.value("split_rank", false);
}

Json moelora_read(const OfficialFolder& folder) {
  const JsonReader& config = folder.config;
  std::vector<std::string> read = target_keys();
  for (const char* key : {"r", "lora_alpha", "lora_dropout", "expert_num", "task_num", "task_embedding_dim"})
    read.emplace_back(key);
  check_other_keys(config, read, folder.warnings);
  Json experts = read_low_rank(folder, "low_rank_experts");
  experts["split_rank"] = true;
  experts["num_experts"] = config.get<int64_t>("expert_num");
  Json method = {{"method", "moelora"},
                 {"experts", experts},
                 {"router",
                  {{"kind", "task"},
                   {"tasks", config.get<int64_t>("task_num")},
                   {"task_dim", config.get<int64_t>("task_embedding_dim")}}}};
  read_targets(folder, method);
  return method;
}

Json moelora_write(const OfficialExport& from) {
  const MethodEntry& entry = from.entries.front();
  refuse_prior(entry, kLayout);
  refuse_patterns(entry, kLayout);
  OptionsLeft experts(entry.experts, "experts", kLayout), router(entry.router, "router", kLayout);
  Json config = write_low_rank(from, experts);
  config["peft_type"] = "MMOELORA";
  config["expert_num"] = one_expert_count(experts, kLayout);
  experts.must_be("shared_a", false);
  experts.must_be("split_rank", true);
  experts.refuse_rest();
  config["task_num"] = router.take("tasks", Json());
  config["task_embedding_dim"] = router.take("task_dim", 64);
  router.refuse_rest();
  return config;
}

}  // namespace morex::adapters
