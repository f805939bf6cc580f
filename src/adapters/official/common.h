// What several official layouts have in common.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "adapters/official/layout.h"
#include "adapters/official/options_left.h"

namespace morex::adapters {

// "model.layers.3.mlp…" -> 3.
std::optional<int64_t> layer_number(const std::string& name);

int64_t decoder_layers(const nn::SlotTable& slots);

// Keys that say which modules are adapted, PEFT's names and meaning, moved into `method`. target_modules must be there.
void read_targets(const OfficialFolder& folder, Json& method);
const std::vector<std::string>& target_keys();

// experts {kind, r, lora_alpha, lora_dropout} from the configuration; `rank` is the key of r.
Json read_low_rank(const OfficialFolder& folder, const char* kind, const char* rank = "r");

// Exactly one entry with these kinds.
bool is_one(const std::vector<MethodEntry>& entries, std::string_view experts, std::string_view router);

// What every layout that grew out of PEFT writes: facts of no consequence, target_modules, and r, lora_alpha and
// lora_dropout taken from `experts`. Throws Error(kConfig) for use_rslora.
Json write_low_rank(const OfficialExport& from, OptionsLeft& experts);

// Throws Error(kConfig) when the entry has a prior, or a rank or alpha of its own for some modules.
void refuse_prior(const MethodEntry& entry, std::string_view layout);
void refuse_patterns(const MethodEntry& entry, std::string_view layout);

// The number of experts, which must be one number. Throws Error(kConfig).
Json one_expert_count(OptionsLeft& experts, std::string_view layout);

}  // namespace morex::adapters
