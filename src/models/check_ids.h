// The tokenizer and the model must belong together.
#pragma once
#include <cstdint>
#include <span>
#include <string>

#include "models/model_config.h"

namespace morex::models {

// Throws Error(kFormat) for an id without a row in the embedding; `where` says where the ids stand.
void check_ids(std::span<const int64_t> ids, const ModelConfig& config, const std::string& where);

}  // namespace morex::models
