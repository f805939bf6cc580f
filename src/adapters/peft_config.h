// adapter_config.json as PEFT writes it, and as projects that grew out of PEFT do.
#pragma once
#include <string>
#include <vector>

#include "base/json.h"
#include "base/warnings.h"

namespace morex::adapters {

// Sorts the keys that nobody `read`: those that change nothing here are passed over, those that train or compute more
// than the adapter are Error(kFormat) naming file and key ("… is not supported"), the rest a counted warning.
void check_other_keys(const JsonReader& config, const std::vector<std::string>& read, Warnings& warnings);

// peft_type LORA -> the recipe's method part. Throws Error(kFormat) naming file and key.
Json read_peft_lora(const JsonReader& config, Warnings& warnings);

// What every low-rank adapter_config.json says alike: {"task_type": "CAUSAL_LM", "inference_mode": true, …}.
Json low_rank_config_head();

// The content of adapter_config.json but for the base's name. `method`: method_to_json; `targets`: the adapted
// projections.
Json peft_lora_config(const Json& method, const std::vector<std::string>& targets);

}  // namespace morex::adapters
