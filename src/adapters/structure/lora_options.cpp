#include "adapters/structure/lora_options.h"

#include <cmath>

#include "base/error.h"

namespace morex::adapters {

LoraOptions read_lora_options(const JsonReader& options, const std::string& module) {
  LoraOptions made;
  made.rank = options.get_or<int64_t>("r", made.rank);
  MOREX_CHECK(made.rank > 0, ErrorKind::kConfig, "[{}] r must be positive, got {}", module, made.rank);
  const double alpha = options.get_or<double>("lora_alpha", 8.0);
  MOREX_CHECK(std::isfinite(alpha), ErrorKind::kConfig, "[{}] lora_alpha must be a finite number", module);
  made.dropout = options.get_or<double>("lora_dropout", 0.0);
  MOREX_CHECK(made.dropout >= 0.0 && made.dropout < 1.0, ErrorKind::kConfig,
              "[{}] lora_dropout must be at least 0 and below 1, got {}", module, made.dropout);
  const auto wide = static_cast<double>(made.rank);
  made.scale = alpha / (options.get_or<bool>("use_rslora", false) ? std::sqrt(wide) : wide);
  return made;
}

}  // namespace morex::adapters
