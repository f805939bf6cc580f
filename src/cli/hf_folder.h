// The config.json of a Hugging Face model folder.
#pragma once
#include <string>

#include "models/model_config.h"

namespace morex::cli {

// Its text: as the base brought it, or made from a .gguf file's metadata. Throws Error(kConfig) for what a config.json
// cannot say.
std::string config_text(const models::ModelConfig& config, const std::string& dtype);

}  // namespace morex::cli
