// The rotary part of config.json.
#pragma once
#include "base/json.h"
#include "base/warnings.h"
#include "models/model_config.h"

namespace morex::models {

// Fills rope_theta and rope_scaling from the keys rope_theta and rope_scaling, or rope_parameters, which holds both
// (transformers 5). Needs head_dim and max_position_embeddings. Throws Error(kFormat) for an unknown type, a missing or
// impossible value; a key the type does not use is a warning.
void read_rope(const JsonReader& config, ModelConfig& out, Warnings& warnings);

}  // namespace morex::models
