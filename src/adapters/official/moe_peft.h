// What MoE-PEFT's layouts have in common.
#pragma once
#include "adapters/official/common.h"

namespace morex::adapters {

// The names of target_modules, which must be a list.
std::vector<std::string> moe_peft_targets(const OfficialFolder& folder);

// bias, r, lora_alpha, lora_dropout, use_rslora, target_modules: which must be names, for MoE-PEFT adapts every layer.
Json write_moe_peft(const OfficialExport& from, OptionsLeft& experts, std::string_view layout);

// Keys that MoE-PEFT reads for training and does not save, but somebody may have left in.
const std::vector<std::string>& moe_peft_training_keys();

}  // namespace morex::adapters
