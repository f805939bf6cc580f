// An adapter as a plain LoRA folder, with a report of what that costs.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "adapters/lora_conversion.h"
#include "base/json.h"
#include "cli/loading.h"
#include "cli/scores.h"

namespace morex::cli {

inline constexpr const char* kConversionReport = "conversion.json";

struct LoraConvert {
  const LoadedModel& loaded;
  adapters::AdapterSet& set;  // attached, on the base as it is
  adapters::BaseIdentity base;
  adapters::ConversionOptions options;
  ScoreOptions scores;  // its tasks, and their protocol
  int64_t batch_size = 8;
  Warnings& warnings;
  bool quiet = false;
};

// Fits on `fit` where that is needed, writes the LoRA into `folder`, compares base, adapter and LoRA on `held_out` (may
// be empty) and the tasks, and writes all of it to conversion.json beside it. Returns that report: {tokens, rows,
// exact, error, held_out_error, modules: [{module, rank, exact, …}], loss: {tokens, base, adapter, lora}, tasks}.
OrderedJson convert_to_folder(const LoraConvert& convert, const std::vector<data::Example>& fit,
                              const std::vector<data::Example>& held_out, const std::filesystem::path& folder);

void print_conversion(const OrderedJson& report);

}  // namespace morex::cli
