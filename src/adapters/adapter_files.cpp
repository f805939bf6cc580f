#include "adapters/adapter_files.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/isfinite.h>

#include <set>

#include "base/files.h"
#include "base/strings.h"
#include "io/safetensors.h"
#include "nn/tensor_file.h"

namespace morex::adapters {
namespace {

namespace fs = std::filesystem;

constexpr const char* kConfigFile = "adapter_config.json";
constexpr const char* kTensorFile = "adapter_model.safetensors";
constexpr const char* kDigestKey = "morex_base_digest";
constexpr int64_t kFormatVersion = 1;

// What PEFT's LoRA configuration may say besides the keys we read: facts that change nothing here.
const std::set<std::string>& neutral_keys() {
  static const std::set<std::string> keys = {
      "peft_type",     "peft_version",        "task_type",      "base_model_name_or_path",
      "revision",      "inference_mode",      "auto_mapping",   "fan_in_fan_out",
      "megatron_core", "megatron_config",     "loftq_config",   "eva_config",
      "corda_config",  "qalora_group_size",   "runtime_config", "lora_ga_config",
      "use_qalora",    "ensure_weight_tying", "arrow_config",   "init_lora_weights"};
  return keys;
}

bool is_off(const Json& value) {
  return value.is_null() || value == Json(false) || value == Json("") || (value.is_structured() && value.empty());
}

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

Json read_peft_lora(const JsonReader& config, Warnings& warnings) {
  const auto refuse = [&](const std::string& key, const std::string& what) {
    fail(ErrorKind::kFormat, "[{}] {}: {} is not supported", config.where(), key, what);
  };
  if (config.get_or<std::string>("bias", "none") != "none") refuse("bias", "training the base's biases");
  if (!is_off(config.raw("modules_to_save"))) refuse("modules_to_save", "training whole modules beside LoRA");
  const Json& start = config.raw("init_lora_weights");
  for (const char* moved : {"pissa_niter", "olora", "corda", "loftq", "lora_ga"}) {
    if (start.is_string() && start.get<std::string>().starts_with(moved))
      refuse("init_lora_weights", "'" + start.get<std::string>() + "', which changes the base's weights,");
  }
  static const std::vector<std::string> taken = {"r",
                                                 "lora_alpha",
                                                 "lora_dropout",
                                                 "use_rslora",
                                                 "use_dora",
                                                 "target_modules",
                                                 "rank_pattern",
                                                 "exclude_modules",
                                                 "layers_to_transform",
                                                 "layers_pattern",
                                                 "alpha_pattern"};
  Json method = {{"method", "lora"}};
  for (const auto& [key, value] : config.object().items()) {
    if (std::find(taken.begin(), taken.end(), key) != taken.end()) {
      if (!value.is_null()) method[key] = value;
    } else if (!is_off(value) && !neutral_keys().contains(key) && key != "bias") {
      for (const char* changing : {"lora_bias", "use_qalora", "trainable_token_indices", "target_parameters",
                                   "layer_replication", "alora_invocation_tokens"})
        if (key == changing) refuse(key, value.dump());
      warnings.add("adapter_config:" + key,
                   fmt::format("[{}] {} = {} is not known and has no effect", config.where(), key, value.dump()));
    }
  }
  if (start == Json("pissa")) method["init_lora_weights"] = start;
  MOREX_CHECK(method.contains("target_modules"), ErrorKind::kFormat, "[{}] target_modules is missing", config.where());
  return method;
}

void read_one(const io::StoredTensor& stored, const at::Tensor& target, const std::string& where) {
  MOREX_CHECK(target.sizes() == at::IntArrayRef(stored.shape), ErrorKind::kFormat,
              "[{}] {} must have shape {} for this base and adapter_config.json, got {}", where, stored.name,
              Json(target.sizes().vec()).dump(), Json(stored.shape).dump());
  target.copy_(finite_copy(stored, target.scalar_type(), where));
}

}  // namespace

Json read_adapter_config(const fs::path& folder, Warnings& warnings) {
  const fs::path path = folder / kConfigFile;
  const std::string text = read_text_file(path);
  const Json json = parse_json(text, path.string());
  check_duplicate_keys(text, path.string());
  const JsonReader config(json, path.string());
  const auto type = config.get<std::string>("peft_type");
  if (type == "LORA") return read_peft_lora(config, warnings);
  MOREX_CHECK(type == "MOREX", ErrorKind::kFormat, "[{}] peft_type must be LORA or MOREX, got '{}'", path.string(),
              type);
  const auto version = config.get<int64_t>("format_version");
  MOREX_CHECK(version == kFormatVersion, ErrorKind::kFormat, "[{}] format_version must be {}, got {}", path.string(),
              kFormatVersion, version);
  return config.raw("method");
}

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

void read_adapter_tensors(const fs::path& folder, nn::ParameterStore& store, const BaseIdentity& base) {
  const io::SafetensorsFile file = open_adapter_tensors(folder, base);
  const std::string path = file.path().string();
  std::set<std::string> expected;
  for (const nn::NamedView& view : store.views()) expected.insert(view.name);
  for (const io::StoredTensor& stored : file.tensors())
    MOREX_CHECK(expected.contains(stored.name), ErrorKind::kFormat,
                "[{}] {} must have a place in the base with the targets of {}, it has none.{}", path, stored.name,
                kConfigFile, did_you_mean(stored.name, {expected.begin(), expected.end()}));
  const at::NoGradGuard guard;
  for (const nn::NamedView& view : store.views()) {
    const io::StoredTensor* stored = file.find(view.name);
    MOREX_CHECK(stored != nullptr, ErrorKind::kFormat, "[{}] {} is missing", path, view.name);
    read_one(*stored, store.named_value(view), path);
  }
}

void write_adapter(const fs::path& folder, const Json& config, const nn::ParameterStore& store,
                   const BaseIdentity& base) {
  make_directories(folder);
  Json with_base = config;
  with_base["base_model_name_or_path"] = base.name_or_path;
  write_text_file(folder / kConfigFile, with_base.dump(2) + "\n");
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (const nn::NamedView& view : store.views()) tensors.emplace_back(view.name, store.named_value(view));
  std::map<std::string, std::string> metadata = {{"format", "pt"}};
  if (!base.digest.empty()) metadata[kDigestKey] = base.digest;
  nn::save_tensors(folder / kTensorFile, tensors, metadata);
}

Json peft_lora_config(const Json& method, const std::vector<std::string>& targets) {
  const Json& experts = method.at("experts");
  Json config = {{"peft_type", "LORA"},
                 {"task_type", "CAUSAL_LM"},
                 {"inference_mode", true},
                 {"bias", "none"},
                 {"fan_in_fan_out", false},
                 {"modules_to_save", nullptr},
                 {"use_dora", experts.value("use_dora", Json(false))},
                 {"r", experts.value("r", Json(8))},
                 {"lora_alpha", experts.value("lora_alpha", Json(8))},
                 {"lora_dropout", experts.value("lora_dropout", Json(0.0))},
                 {"use_rslora", experts.value("use_rslora", Json(false))},
                 {"init_lora_weights", experts.value("init_lora_weights", Json(true))},
                 {"rank_pattern", method.value("rank_pattern", Json::object())},
                 {"alpha_pattern", method.value("alpha_pattern", Json::object())},
                 {"exclude_modules", method.value("exclude_modules", Json())},
                 {"layers_to_transform", method.value("layers_to_transform", Json())},
                 {"layers_pattern", method.value("layers_pattern", Json())}};
  // PEFT's "all-linear" would be expanded again on the other side: say what was adapted.
  config["target_modules"] = method.at("target_modules") == "all-linear" ? Json(targets) : method.at("target_modules");
  return config;
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
