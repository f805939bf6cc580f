// MoSLoRA (wutaiqiang/MoSLoRA): an old PEFT's LORA with lora_use_mixer and our tensor names.
#include "adapters/official/common.h"
#include "adapters/official/table.h"
#include "adapters/peft_config.h"
#include "base/error.h"

namespace morex::adapters {
namespace {

constexpr const char* kLayout = "moslora";

}  // namespace

bool moslora_recognises(const OfficialFolder& folder) {
  return folder.peft_type() == "LORA" && folder.has(".lora_AB.weight");
}

bool moslora_suits(const std::vector<MethodEntry>& entries) {
  return is_one(entries, "low_rank", "none") && entries[0].experts.value("mixer", false);
}

Json moslora_read(const OfficialFolder& folder) {
  const JsonReader& config = folder.config;
  std::vector<std::string> read = target_keys();
  for (const char* key : {"r", "lora_alpha", "lora_dropout", "lora_use_mixer"}) read.emplace_back(key);
  check_other_keys(config, read, folder.warnings);
  MOREX_CHECK(config.get_or<bool>("lora_use_mixer", true), ErrorKind::kFormat,
              "[{}] lora_use_mixer is false, but the file holds mixers (lora_AB)", config.where());
  Json experts = read_low_rank(folder, "low_rank");
  experts["mixer"] = true;
  Json method = {{"method", "moslora"}, {"experts", experts}};
  read_targets(folder, method);
  return method;
}

Json moslora_write(const OfficialExport& from) {
  const MethodEntry& entry = from.entries.front();
  refuse_patterns(entry, kLayout);
  OptionsLeft experts(entry.experts, "experts", kLayout);
  Json config = write_low_rank(from, experts);
  config["peft_type"] = "LORA";
  config["lora_use_mixer"] = true;
  experts.ignore({"mixer"});
  experts.must_be("use_dora", false);
  experts.refuse_rest();
  return config;
}

}  // namespace morex::adapters
