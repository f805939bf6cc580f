// An adapter folder as a method's own project writes it: what its adapter_config.json says in our terms, and back.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "adapters/method_config.h"
#include "base/json.h"
#include "base/warnings.h"
#include "io/safetensors.h"
#include "nn/parameter_store.h"
#include "nn/slots.h"

namespace morex::adapters {

// What is read.
struct OfficialFolder {
  const JsonReader& config;
  const std::vector<io::StoredTensor>& tensors;  // official names
  const nn::SlotTable& slots;                    // of the base
  Warnings& warnings;

  std::string peft_type() const { return config.get<std::string>("peft_type"); }
  bool has(std::string_view ending) const { return find(ending) != nullptr; }  // a tensor whose name ends so
  const io::StoredTensor* find(std::string_view ending) const;                 // the first such, or null
};

// What is written.
struct OfficialExport {
  const std::vector<MethodEntry>& entries;
  const std::vector<std::string>& targets;  // the adapted projections, as PEFT matches them
  const nn::ParameterStore& store;
  const nn::SlotTable& slots;
};

struct OfficialLayout {
  std::string_view name;       // as in official_names.h
  std::string_view peft_type;  // for messages; "LORA": grown out of PEFT without a type of its own, the tensors tell
  bool (*recognises)(const OfficialFolder& folder);
  // The recipe's method part. Throws Error(kFormat) naming file and key.
  Json (*read)(const OfficialFolder& folder);

  // Whether kinds of experts and routers are the layout's.
  bool (*suits)(const std::vector<MethodEntry>& entries);
  // adapter_config.json without the base's name. Throws Error(kConfig) naming the option for which it has no place.
  // How a run starts and trains (losses, initial values, learning rates) is no part of any layout.
  Json (*write)(const OfficialExport& from);
  // Further names under which this tensor stands in the file; null: none.
  std::vector<std::string> (*copies)(const OfficialExport& from, const std::string& official) = nullptr;
};

}  // namespace morex::adapters
