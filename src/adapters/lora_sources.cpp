#include "adapters/lora_sources.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>

#include <filesystem>
#include <set>

#include "adapters/adapter_files.h"
#include "adapters/bank_adapter.h"
#include "adapters/method_config.h"
#include "adapters/structure/lora_options.h"
#include "base/error.h"
#include "io/safetensors.h"

namespace morex::adapters {
namespace {

namespace fs = std::filesystem;

std::string name_of(const std::string& module, const char* part) {
  return kFilePrefix + module + ".lora_" + part + ".weight";
}

std::vector<std::string> folders_of(const Json& experts) {
  const Json& given = experts.at("init_from");
  const bool texts = given.is_array() && !given.empty() &&
                     std::all_of(given.begin(), given.end(), [](const Json& folder) { return folder.is_string(); });
  MOREX_CHECK(texts, ErrorKind::kConfig, "[experts] init_from must be a list of adapter folders, got {}", given.dump());
  return given.get<std::vector<std::string>>();
}

// The one entry of a plain LoRA's configuration.
MethodEntry read_lora(const fs::path& folder, Warnings& warnings) {
  const std::vector<MethodEntry> entries = read_method(read_adapter_config(folder, warnings));
  const Json& experts = entries.front().experts;
  const bool plain = entries.size() == 1 && experts.at("kind") == "low_rank" && !experts.value("use_dora", false) &&
                     !experts.value("mixer", false) && experts.value("init_lora_weights", Json()) != "pissa";
  MOREX_CHECK(plain, ErrorKind::kFormat, "[{}] an expert can start from a plain LoRA only, not from {}{}",
              folder.string(), entries.front().name,
              experts.value("use_dora", false)                              ? " with use_dora"
              : experts.value("init_lora_weights", Json()) == Json("pissa") ? " with init_lora_weights pissa"
                                                                            : "");
  return entries.front();
}

}  // namespace

bool starts_from_loras(const Json& experts) { return experts.is_object() && experts.contains("init_from"); }

Json with_lora_defaults(const Json& method) {
  Json made = method;
  Json& experts = made["experts"];
  const std::vector<std::string> folders = folders_of(experts);
  const auto count = static_cast<int64_t>(folders.size());
  MOREX_CHECK(!experts.contains("num_experts") || experts["num_experts"] == count, ErrorKind::kConfig,
              "[experts] num_experts must be the number of folders in init_from, {}, got {}", count,
              experts["num_experts"].dump());
  experts["num_experts"] = count;
  Warnings ignored(false, false);  // given when the set is made
  const MethodEntry lora = read_lora(folders.front(), ignored);
  const auto silent = [&](const std::string& key) { return !made.contains(key) && !experts.contains(key); };
  for (const char* key : {"r", "lora_alpha", "use_rslora"})
    if (silent(key) && lora.experts.contains(key)) experts[key] = lora.experts[key];
  if (silent("rank_pattern")) made["rank_pattern"] = lora.rank_pattern.to_json();
  if (silent("alpha_pattern")) made["alpha_pattern"] = lora.alpha_pattern.to_json();
  const std::vector<std::string> target_keys = {"target_modules", "exclude_modules", "layers_to_transform", "layers",
                                                "layers_pattern"};
  if (std::all_of(target_keys.begin(), target_keys.end(), silent)) made.update(lora.targets.to_json());
  return made;
}

struct LoraSources::Source {
  fs::path folder;
  MethodEntry entry;
  io::SafetensorsFile file;
  std::set<std::string> claimed;

  const io::StoredTensor& get(const std::string& module, const char* part) const {
    const io::StoredTensor* stored = file.find(name_of(module, part));
    MOREX_CHECK(stored != nullptr, ErrorKind::kConfig,
                "[experts] init_from: every LoRA must adapt {}, {} does not. Hint: target_modules must name what the "
                "LoRAs adapt",
                module, folder.string());
    return *stored;
  }
};

LoraSources::LoraSources(const std::vector<std::string>& folders, const BaseIdentity& base, Warnings& warnings) {
  for (const std::string& folder : folders) {
    MethodEntry entry = read_lora(folder, warnings);
    sources_.push_back(
        std::make_unique<Source>(Source{folder, std::move(entry), open_adapter_tensors(folder, base), {}}));
  }
}

LoraSources::~LoraSources() = default;

void LoraSources::claim(const std::string& module, int64_t rank, int64_t d_in, int64_t d_out) {
  for (const auto& source : sources_) {
    const io::StoredTensor &a = source->get(module, "A"), &b = source->get(module, "B");
    const int64_t own = a.shape.empty() ? 0 : a.shape.front();
    MOREX_CHECK(own == rank, ErrorKind::kConfig,
                "[experts] init_from: r must be the LoRAs' own rank, {} has {} at {}, the recipe {}",
                source->folder.string(), own, module, rank);
    const bool fits = a.shape == std::vector{rank, d_in} && b.shape == std::vector{d_out, rank};
    MOREX_CHECK(fits, ErrorKind::kFormat, "[{}] A and B of {} must have shapes {} and {} for this base, got {} and {}",
                source->file.path().string(), module, Json{rank, d_in}.dump(), Json{d_out, rank}.dump(),
                Json(a.shape).dump(), Json(b.shape).dump());
    source->claimed.insert({a.name, b.name});
  }
}

void LoraSources::check_all_claimed() const {
  for (const auto& source : sources_)
    for (const io::StoredTensor& stored : source->file.tensors())
      MOREX_CHECK(source->claimed.contains(stored.name), ErrorKind::kConfig,
                  "[experts] init_from: every pair of a LoRA must become an expert, {} of {} has no place. Hint: "
                  "target_modules must name what the LoRAs adapt",
                  stored.name, source->folder.string());
}

at::Tensor LoraSources::a(int64_t lora, const std::string& module) const {
  const Source& source = *sources_[static_cast<size_t>(lora)];
  return finite_copy(source.get(module, "A"), at::kDouble, source.file.path().string());
}

at::Tensor LoraSources::b(int64_t lora, const std::string& module, double scale) const {
  const Source& source = *sources_[static_cast<size_t>(lora)];
  const at::Tensor value = finite_copy(source.get(module, "B"), at::kDouble, source.file.path().string());
  const Json options = source.entry.experts_of(module);
  const double own = read_lora_options(JsonReader(options, source.folder.string()), module).scale;
  return own == scale ? value : value * (own / scale);
}

}  // namespace morex::adapters
