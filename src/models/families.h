// The model families: one line each.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "models/causal_lm.h"
#include "models/weight_source.h"

namespace morex::models {

struct Family {
  std::string_view model_type;         // config.json's model_type
  std::string_view gguf_architecture;  // GGUF's general.architecture, "" where GGUF files are not read
  bool gguf_permutes_qk;               // GGUF stores q and k rows in interleaved rotary order
  // Builds the model: takes every weight from `weights`, in the load's dtype and on its device.
  std::unique_ptr<CausalLm> (*build)(const ModelConfig& config, WeightSource& weights);
};

// Throw Error(kFormat) naming `where`, the name and the known ones.
const Family& family_of_model_type(std::string_view model_type, const std::string& where);
const Family& family_of_gguf(std::string_view architecture, const std::string& where);

}  // namespace morex::models
