// What a training step is timed with.
#pragma once
#include <string>

#include "base/json.h"
#include "models/causal_lm.h"

namespace morex::bench {

// The method part of a recipe for a case: a name of the table in cases.cpp; `preset:NAME`, a published method as it
// comes; `lora_rN`, LoRA of rank N on all linears; `lora_like:CASE`, plain LoRA on the projections that CASE adapts, of
// the rank whose size is nearest to its. Throws Error(kConfig) for an unknown name.
Json method_of_case(const std::string& name, models::CausalLm& model);

}  // namespace morex::bench
