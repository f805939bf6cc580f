#include <set>

#include "base/error.h"
#include "base/json.h"
#include "io/safetensors.h"
#include "io/text_check.h"

namespace morex::io {
namespace {
namespace fs = std::filesystem;

constexpr const char* kSingle = "model.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";

// The other weight files a folder may hold; they are named, never opened.
std::string foreign_weights(const fs::path& folder) {
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string extension = entry.path().extension().string();
    if (extension == ".bin" || extension == ".pt" || extension == ".pth" || extension == ".h5" ||
        extension == ".msgpack")
      return entry.path().filename().string();
  }
  return "";
}

[[noreturn]] void fail_without_weights(const fs::path& folder) {
  const std::string foreign = foreign_weights(folder);
  if (!foreign.empty())
    fail(ErrorKind::kFormat,
         "[{}] must hold model.safetensors, got only {}. Hint: pickled weights are never opened; convert them to "
         "safetensors.",
         folder.string(), printable(foreign));
  fail(ErrorKind::kFormat, "[{}] must hold model.safetensors or model.safetensors.index.json, got neither",
       folder.string());
}

// A shard lies in the folder itself: a name, not a path.
void check_shard_name(const std::string& shard, const std::string& where) {
  const bool plain = !shard.empty() && shard.find_first_of(std::string_view("/\\\0", 3)) == std::string::npos &&
                     shard != "." && shard != ".." && shard.ends_with(".safetensors");
  MOREX_CHECK(plain, ErrorKind::kFormat,
              "[{}] a shard must be the name of a .safetensors file in the same folder, got {}", where,
              printable(shard));
}

// tensor name -> shard name, as the index says.
std::map<std::string, std::string> read_weight_map(const fs::path& path) {
  const Json index = read_json_file(path);
  const JsonReader reader(index, path.string());
  const Json& weight_map = reader.raw("weight_map");
  MOREX_CHECK(weight_map.is_object(), ErrorKind::kFormat,
              "[{}] weight_map must be an object of tensor name to file, got {}", path.string(),
              weight_map.type_name());
  std::map<std::string, std::string> result;
  for (const auto& [tensor, shard] : weight_map.items()) {
    MOREX_CHECK(shard.is_string(), ErrorKind::kFormat, "[{}] weight_map: the file of {} must be a string, got {}",
                path.string(), printable(tensor), shard.type_name());
    check_shard_name(shard.get_ref<const std::string&>(), path.string());
    result.emplace(tensor, shard.get<std::string>());
  }
  MOREX_CHECK(!result.empty(), ErrorKind::kFormat, "[{}] weight_map must name at least one tensor, got none",
              path.string());
  return result;
}

}  // namespace

SafetensorsFolder SafetensorsFolder::open(const fs::path& folder) {
  MOREX_CHECK(fs::is_directory(folder), ErrorKind::kFormat,
              "[{}] must be a folder with safetensors files, there is none", folder.string());
  SafetensorsFolder result;
  const fs::path index_path = folder / kIndex;
  std::map<std::string, std::string> weight_map;
  if (fs::exists(folder / kSingle)) {
    result.files_.push_back(SafetensorsFile::open(folder / kSingle));
  } else if (fs::exists(index_path)) {
    weight_map = read_weight_map(index_path);
    std::set<std::string> shards;
    for (const auto& [tensor, shard] : weight_map) shards.insert(shard);
    for (const std::string& shard : shards) {
      MOREX_CHECK(fs::exists(folder / shard), ErrorKind::kFormat, "[{}] names the shard {}, which is not in the folder",
                  index_path.string(), printable(shard));
      result.files_.push_back(SafetensorsFile::open(folder / shard));
    }
  } else {
    fail_without_weights(folder);
  }

  for (const SafetensorsFile& file : result.files_) {
    for (const StoredTensor& tensor : file.tensors()) {
      const auto [entry, inserted] = result.index_.emplace(tensor.name, &tensor);
      MOREX_CHECK(inserted, ErrorKind::kFormat, "[{}] tensor {} must be in one shard, it is in {} and {}",
                  index_path.string(), printable(tensor.name), entry->second->file->path().filename().string(),
                  file.path().filename().string());
    }
  }
  for (const auto& [tensor, shard] : weight_map) {
    const StoredTensor* found = result.find(tensor);
    MOREX_CHECK(found != nullptr && found->file->path().filename() == shard, ErrorKind::kFormat,
                "[{}] says that tensor {} is in {}, which does not hold it", index_path.string(), printable(tensor),
                printable(shard));
  }
  return result;
}

const StoredTensor* SafetensorsFolder::find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : found->second;
}

std::vector<std::string> SafetensorsFolder::names() const {
  std::vector<std::string> names;
  names.reserve(index_.size());
  for (const auto& [name, tensor] : index_) names.push_back(name);
  return names;
}

}  // namespace morex::io
