// Adapter folders: adapter_config.json and adapter_model.safetensors. A set that is one plain LoRA is written and read
// in PEFT's format; everything else in ours, which has PEFT's shape, peft_type MOREX, a format version and a manifest
// of the tensors. The digest of the base stands in the metadata of the tensor file, where PEFT ignores it. Folders of
// the methods' own projects (official/) are read too, their tensors from adapter_model.bin where there is no
// adapter_model.safetensors.
#pragma once
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "adapters/adapter_set.h"
#include "base/json.h"
#include "base/warnings.h"
#include "io/safetensors.h"
#include "nn/parameter_store.h"

namespace morex::adapters {

struct AdapterFolder {
  std::filesystem::path path;
  Json method;                            // the recipe's method part
  std::string layout;                     // whose names the tensors have (official_names.h); "": ours, which are PEFT's
  std::filesystem::path tensor_file;      // "": there is none
  std::vector<io::StoredTensor> tensors;  // as named there
  std::string base_digest;                // "": the file does not say
};

// Reads the configuration and the tensors' names. `slots`: of the base. Throws Error(kFormat) naming
// file and key: a peft_type that nobody knows, kinds and options that change the arithmetic and are not built
// ("SKIPPED unsupported: …" names them for tests), a broken tensor file.
AdapterFolder open_adapter(const std::filesystem::path& folder, const nn::SlotTable& slots, Warnings& warnings);

// adapter_config.json, ours or PEFT's -> the recipe's method part, without a look at the tensors. Throws
// Error(kFormat).
Json read_adapter_config(const std::filesystem::path& folder, Warnings& warnings);

// Fills every view of the store. Throws Error(kFormat) naming file and tensor: one that is missing, has another shape
// or type, holds a NaN or an infinity, has no place here, or differs from another one that means the same; a base with
// another digest.
void read_adapter_tensors(const AdapterFolder& folder, nn::ParameterStore& store, const BaseIdentity& base);

// The folder's adapter_model.safetensors. Throws Error(kFormat): it is missing, or made for a base with another digest.
io::SafetensorsFile open_adapter_tensors(const std::filesystem::path& folder, const BaseIdentity& base);
// A copy in `type`. Throws Error(kFormat) naming `file` and the tensor for integers, a NaN or an infinity.
at::Tensor finite_copy(const io::StoredTensor& stored, at::ScalarType type, const std::string& file);

// Writes both files atomically, the tensors last: an adapter folder with a tensor file is complete.
void write_adapter(const std::filesystem::path& folder, const Json& config, const nn::ParameterStore& store,
                   const BaseIdentity& base);
// The same with other names: `names` gives one or more for each view of the store.
void write_adapter(const std::filesystem::path& folder, const Json& config, const nn::ParameterStore& store,
                   const BaseIdentity& base,
                   const std::function<std::vector<std::string>(const std::string& ours)>& names);

// The content of adapter_config.json but for the base's name, for a method that PEFT does not have.
Json morex_config(const Json& method, const nn::ParameterStore& store);

}  // namespace morex::adapters
