#include "adapters/adapter_files.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/isfinite.h>

#include <algorithm>
#include <set>

#include "adapters/official/table.h"
#include "adapters/official_names.h"
#include "adapters/peft_config.h"
#include "base/files.h"
#include "base/strings.h"
#include "io/torch_file.h"
#include "nn/tensor_file.h"

namespace morex::adapters {
namespace {

namespace fs = std::filesystem;

constexpr const char* kConfigFile = "adapter_config.json";
constexpr const char* kTensorFile = "adapter_model.safetensors";
constexpr const char* kPickledFile = "adapter_model.bin";
constexpr const char* kDigestKey = "morex_base_digest";
constexpr int64_t kFormatVersion = 1;

// nlohmann keeps the last of two equal keys, as Python does; somebody meant the first.
void check_duplicate_keys(const std::string& text, const std::string& where) {
  std::vector<std::set<std::string>> open;
  const auto watch = [&](int, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::object_start) open.emplace_back();
    if (event == Json::parse_event_t::object_end) open.pop_back();
    if (event == Json::parse_event_t::key)
      MOREX_CHECK(open.back().insert(parsed.get<std::string>()).second, ErrorKind::kFormat,
                  "[{}] each key must appear once, '{}' appears twice", where, parsed.get<std::string>());
    return true;
  };
  [[maybe_unused]] const Json ignored = Json::parse(text, watch);
}

void read_one(const io::StoredTensor& stored, const at::Tensor& target, const std::string& where) {
  MOREX_CHECK(target.sizes() == at::IntArrayRef(stored.shape), ErrorKind::kFormat,
              "[{}] {} must have shape {} for this base and adapter_config.json, got {}", where, stored.name,
              Json(target.sizes().vec()).dump(), Json(stored.shape).dump());
  target.copy_(finite_copy(stored, target.scalar_type(), where));
}

// Our name -> the stored tensors that mean it.
std::map<std::string, std::vector<const io::StoredTensor*>> by_our_name(const AdapterFolder& folder) {
  std::map<std::string, std::vector<const io::StoredTensor*>> found;
  for (const io::StoredTensor& stored : folder.tensors) found[our_name(folder.layout, stored.name)].push_back(&stored);
  return found;
}

bool same_values(const io::StoredTensor& a, const io::StoredTensor& b) {
  return a.dtype == b.dtype && a.shape == b.shape &&
         std::equal(a.bytes.begin(), a.bytes.end(), b.bytes.begin(), b.bytes.end());
}

void open_tensors(AdapterFolder& folder) {
  if (const fs::path path = folder.path / kTensorFile; fs::exists(path)) {
    const io::SafetensorsFile file = io::SafetensorsFile::open(path);
    if (const auto digest = file.metadata().find(kDigestKey); digest != file.metadata().end())
      folder.base_digest = digest->second;
    folder.tensors = file.tensors();
    folder.tensor_file = path;
  } else if (const fs::path pickled = folder.path / kPickledFile; fs::exists(pickled)) {
    folder.tensors = io::read_torch_file(pickled);
    folder.tensor_file = pickled;
  }
}

}  // namespace

io::SafetensorsFile open_adapter_tensors(const fs::path& folder, const BaseIdentity& base) {
  const fs::path path = folder / kTensorFile;
  MOREX_CHECK(fs::exists(path), ErrorKind::kFormat, "[{}] there must be an {} beside {}, got none", folder.string(),
              kTensorFile, kConfigFile);
  const io::SafetensorsFile file = io::SafetensorsFile::open(path);
  if (const auto digest = file.metadata().find(kDigestKey); digest != file.metadata().end() && !base.digest.empty())
    MOREX_CHECK(digest->second == base.digest, ErrorKind::kFormat,
                "[{}] the adapter must be made for this base ({}, digest {}), got one for the base with digest {}",
                path.string(), base.name_or_path, base.digest, digest->second);
  return file;
}

at::Tensor finite_copy(const io::StoredTensor& stored, at::ScalarType type, const std::string& where) {
  MOREX_CHECK(at::isFloatingType(nn::scalar_type(stored.dtype)), ErrorKind::kFormat,
              "[{}] {} must hold floating-point numbers, got {}", where, stored.name, io::name(stored.dtype));
  const at::Tensor value = nn::tensor_copy(stored, type);
  MOREX_CHECK(at::isfinite(value).all().item<bool>(), ErrorKind::kFormat,
              "[{}] {} must hold finite numbers, got a NaN or an infinity", where, stored.name);
  return value;
}

namespace {

// adapter_config.json, parsed.
Json parse_config(const fs::path& folder) {
  const fs::path file = folder / kConfigFile;
  const std::string text = read_text_file(file);
  Json json = parse_json(text, file.string());
  check_duplicate_keys(text, file.string());
  return json;
}

// The method of a folder of ours.
Json own_method(const JsonReader& config) {
  const auto version = config.get<int64_t>("format_version");
  MOREX_CHECK(version == kFormatVersion, ErrorKind::kFormat, "[{}] format_version must be {}, got {}", config.where(),
              kFormatVersion, version);
  return config.raw("method");
}

}  // namespace

Json read_adapter_config(const fs::path& folder, Warnings& warnings) {
  const Json json = parse_config(folder);
  const JsonReader config(json, (folder / kConfigFile).string());
  const auto type = config.get<std::string>("peft_type");
  if (type == "MOREX") return own_method(config);
  MOREX_CHECK(type == "LORA", ErrorKind::kFormat, "[{}] peft_type must be LORA or MOREX, got '{}'", config.where(),
              type);
  return read_peft_lora(config, warnings);
}

AdapterFolder open_adapter(const fs::path& path, const nn::SlotTable& slots, Warnings& warnings) {
  const Json json = parse_config(path);
  const JsonReader config(json, (path / kConfigFile).string());
  const auto type = config.get<std::string>("peft_type");
  AdapterFolder folder;
  folder.path = path;
  open_tensors(folder);
  if (type == "MOREX") {
    folder.method = own_method(config);
    return folder;
  }
  const OfficialFolder official{config, folder.tensors, slots, warnings};
  if (const OfficialLayout* layout = recognise_layout(official); layout != nullptr) {
    folder.layout = layout->name;
    folder.method = layout->read(official);
    return folder;
  }
  MOREX_CHECK(type == "LORA", ErrorKind::kFormat, "[{}] peft_type must be one of LORA, MOREX, {}, got '{}'",
              config.where(), join(official_peft_types(), ", "), type);
  folder.method = read_peft_lora(config, warnings);
  return folder;
}

void read_adapter_tensors(const AdapterFolder& folder, nn::ParameterStore& store, const BaseIdentity& base) {
  MOREX_CHECK(!folder.tensor_file.empty(), ErrorKind::kFormat, "[{}] there must be an {} beside {}, got none",
              folder.path.string(), kTensorFile, kConfigFile);
  const std::string where = folder.tensor_file.string();
  if (!folder.base_digest.empty() && !base.digest.empty())
    MOREX_CHECK(folder.base_digest == base.digest, ErrorKind::kFormat,
                "[{}] the adapter must be made for this base ({}, digest {}), got one for the base with digest {}",
                where, base.name_or_path, base.digest, folder.base_digest);

  const auto stored = by_our_name(folder);
  std::set<std::string> expected;
  std::vector<std::string> known;  // as the file would call them
  for (const nn::NamedView& view : store.views()) {
    expected.insert(view.name);
    known.push_back(official_name(folder.layout, view.name));
  }
  for (const auto& [name, tensors] : stored)
    MOREX_CHECK(expected.contains(name), ErrorKind::kFormat,
                "[{}] {} must have a place in the base with the targets of {}, it has none.{}", where,
                tensors.front()->name, kConfigFile, did_you_mean(tensors.front()->name, known));
  const at::NoGradGuard guard;
  for (const nn::NamedView& view : store.views()) {
    const auto found = stored.find(view.name);
    MOREX_CHECK(found != stored.end(), ErrorKind::kFormat, "[{}] {} is missing", where,
                official_name(folder.layout, view.name));
    const io::StoredTensor& first = *found->second.front();
    for (const io::StoredTensor* other : found->second)
      MOREX_CHECK(same_values(first, *other), ErrorKind::kFormat,
                  "[{}] {} and {} mean the same tensor and must be equal, they differ", where, first.name, other->name);
    read_one(first, store.named_value(view), where);
  }
}

void write_adapter(const fs::path& folder, const Json& config, const nn::ParameterStore& store,
                   const BaseIdentity& base) {
  write_adapter(folder, config, store, base, [](const std::string& name) { return std::vector{name}; });
}

void write_adapter(const fs::path& folder, const Json& config, const nn::ParameterStore& store,
                   const BaseIdentity& base,
                   const std::function<std::vector<std::string>(const std::string& ours)>& names) {
  make_directories(folder);
  Json with_base = config;
  with_base["base_model_name_or_path"] = base.name_or_path;
  write_text_file(folder / kConfigFile, with_base.dump(2) + "\n");
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (const nn::NamedView& view : store.views())
    for (const std::string& name : names(view.name)) tensors.emplace_back(name, store.named_value(view));
  std::map<std::string, std::string> metadata = {{"format", "pt"}};
  if (!base.digest.empty()) metadata[kDigestKey] = base.digest;
  nn::save_tensors(folder / kTensorFile, tensors, metadata);
}

Json morex_config(const Json& method, const nn::ParameterStore& store) {
  Json tensors = Json::object();
  for (const nn::NamedView& view : store.views()) {
    // A view has its shape on the meta device too.
    const at::Tensor leaf =
        at::empty(store.leaves()[static_cast<size_t>(view.leaf)].shape, at::TensorOptions().device(at::kMeta));
    tensors[view.name] = view.view(leaf).sizes().vec();
  }
  return {{"peft_type", "MOREX"},
          {"format_version", kFormatVersion},
          {"task_type", "CAUSAL_LM"},
          {"method", method},
          {"tensors", tensors}};
}

}  // namespace morex::adapters
