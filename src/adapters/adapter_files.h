// Adapter folders: adapter_config.json and adapter_model.safetensors. A set that is one plain LoRA is written and read
// in PEFT's format; everything else in ours, which has PEFT's shape, peft_type MOREX, a format version and a manifest
// of the tensors. The digest of the base stands in the metadata of the tensor file, where PEFT ignores it.
#pragma once
#include <filesystem>
#include <string>

#include "adapters/adapter_set.h"
#include "base/json.h"
#include "base/warnings.h"
#include "io/safetensors.h"
#include "nn/parameter_store.h"

namespace morex::adapters {

// adapter_config.json -> the recipe's method part. Throws Error(kFormat) naming file and key: kinds and options of PEFT
// that change the arithmetic and are not built ("SKIPPED unsupported: …" names them for tests).
Json read_adapter_config(const std::filesystem::path& folder, Warnings& warnings);

// Fills every view of the store from adapter_model.safetensors. Throws Error(kFormat) naming file and tensor: one that
// is missing, has another shape or type, holds a NaN or an infinity, or has no place here; a base with another digest.
void read_adapter_tensors(const std::filesystem::path& folder, nn::ParameterStore& store, const BaseIdentity& base);

// The folder's adapter_model.safetensors. Throws Error(kFormat): it is missing, or made for a base with another digest.
io::SafetensorsFile open_adapter_tensors(const std::filesystem::path& folder, const BaseIdentity& base);
// A copy in `type`. Throws Error(kFormat) naming `file` and the tensor for integers, a NaN or an infinity.
at::Tensor finite_copy(const io::StoredTensor& stored, at::ScalarType type, const std::string& file);

// Writes both files atomically, the tensors last: an adapter folder with a tensor file is complete.
void write_adapter(const std::filesystem::path& folder, const Json& config, const nn::ParameterStore& store,
                   const BaseIdentity& base);

// The content of adapter_config.json but for the base's name. `method`: method_to_json; `modules`: the adapted ones.
Json peft_lora_config(const Json& method, const std::vector<std::string>& targets);
Json morex_config(const Json& method, const nn::ParameterStore& store);

}  // namespace morex::adapters
