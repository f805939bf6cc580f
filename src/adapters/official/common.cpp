#include "adapters/official/common.h"

#include <algorithm>
#include <cctype>

#include "adapters/peft_config.h"
#include "base/error.h"

namespace morex::adapters {

const io::StoredTensor* OfficialFolder::find(std::string_view ending) const {
  for (const io::StoredTensor& stored : tensors)
    if (stored.name.ends_with(ending)) return &stored;
  return nullptr;
}

std::optional<int64_t> layer_number(const std::string& name) {
  static const std::string kLayers = "layers.";
  const size_t found = name.find(kLayers);
  if (found == std::string::npos) return {};
  const size_t begin = found + kLayers.size();
  size_t end = begin;
  while (end < name.size() && std::isdigit(static_cast<unsigned char>(name[end])) != 0) ++end;
  if (end == begin || end - begin > 6) return {};
  return std::stoll(name.substr(begin, end - begin));
}

int64_t decoder_layers(const nn::SlotTable& slots) {
  int64_t layers = 0;
  for (const nn::LinearGroup* group : slots.groups) layers = std::max(layers, group->layer + 1);
  return layers;
}

const std::vector<std::string>& target_keys() {
  static const std::vector<std::string> keys = {"target_modules", "exclude_modules", "layers_to_transform",
                                                "layers_pattern"};
  return keys;
}

void read_targets(const OfficialFolder& folder, Json& method) {
  MOREX_CHECK(folder.config.has("target_modules"), ErrorKind::kFormat, "[{}] target_modules is missing",
              folder.config.where());
  for (const std::string& key : target_keys())
    if (folder.config.has(key)) method[key] = folder.config.raw(key);
}

Json read_low_rank(const OfficialFolder& folder, const char* kind, const char* rank) {
  folder.config.get<double>("lora_alpha");  // a number, which keeps its form
  return {{"kind", kind},
          {"r", folder.config.get<int64_t>(rank)},
          {"lora_alpha", folder.config.raw("lora_alpha")},
          {"lora_dropout", folder.config.get_or<double>("lora_dropout", 0.0)}};
}

bool is_one(const std::vector<MethodEntry>& entries, std::string_view experts, std::string_view router) {
  return entries.size() == 1 && entries[0].experts.at("kind") == experts && entries[0].router.at("kind") == router;
}

Json write_low_rank(const OfficialExport& from, OptionsLeft& experts) {
  experts.must_be("use_rslora", false);
  experts.ignore({"init_lora_weights", "init_std"});
  Json config = low_rank_config_head();
  config.update({{"target_modules", from.targets},
                 {"r", experts.take("r", 8)},
                 {"lora_alpha", experts.take("lora_alpha", 8)},
                 {"lora_dropout", experts.take("lora_dropout", 0.0)}});
  return config;
}

void refuse_prior(const MethodEntry& entry, std::string_view layout) {
  MOREX_CHECK(entry.prior.at("kind") == "none", ErrorKind::kConfig, "[prior] {} has no place in the layout {}",
              entry.prior.at("kind").get<std::string>(), layout);
}

void refuse_patterns(const MethodEntry& entry, std::string_view layout) {
  for (const PatternMap* patterns : {&entry.rank_pattern, &entry.alpha_pattern})
    MOREX_CHECK(patterns->to_json().empty(), ErrorKind::kConfig,
                "[rank_pattern, alpha_pattern] {} have no place in the layout {}", patterns->to_json().dump(), layout);
}

Json one_expert_count(OptionsLeft& experts, std::string_view layout) {
  Json count = experts.take("num_experts", 8);
  if (count.is_array() && !count.empty()) {
    bool equal = true;
    for (const Json& value : count) equal = equal && value == count[0];
    MOREX_CHECK(
        equal, ErrorKind::kConfig,
        "[experts] num_experts must be one number for the layout {}, got {}. Hint: the layout mola takes a number "
        "for each layer",
        layout, count.dump());
    count = Json(count[0]);
  }
  return count;
}

}  // namespace morex::adapters
