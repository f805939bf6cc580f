#include "cli/hf_folder.h"

#include "base/error.h"
#include "base/json.h"

namespace morex::cli {

std::string config_text(const models::ModelConfig& config, const std::string& dtype) {
  MOREX_CHECK(
      config.rope_scaling.frequency_divisors.empty(), ErrorKind::kConfig,
      "the base's rope_freqs.weight has no place in a config.json. Hint: take the base as a Hugging Face folder");
  Json json = config.source;
  json.erase("dtype");  // transformers' newer name of the same key
  json["torch_dtype"] = dtype;
  return json.dump(2) + "\n";
}

}  // namespace morex::cli
