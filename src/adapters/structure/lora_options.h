// The options that every structure made of LoRA pairs has: r, lora_alpha, lora_dropout, use_rslora.
#pragma once
#include <cstdint>
#include <string>

#include "base/json.h"

namespace morex::adapters {

struct LoraOptions {
  int64_t rank = 8;
  double scale = 1.0;  // alpha/r, or alpha/sqrt(r) with use_rslora
  double dropout = 0.0;
};

// Throws Error(kConfig) naming `module`.
LoraOptions read_lora_options(const JsonReader& options, const std::string& module);

}  // namespace morex::adapters
