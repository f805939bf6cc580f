// The file of centroids: safetensors with `mean` [D] and for each K `centroids.K` [K, D] and `sizes.K` [K]; metadata
// says the format's version, the embedder, the base's digest, the seed and the texts nearest to each centroid.
#include <ATen/ops/isfinite.h>
#include <ATen/ops/tensor.h>

#include <cstdlib>

#include "base/error.h"
#include "base/json.h"
#include "eval/clusters.h"
#include "nn/tensor_file.h"

namespace morex::eval {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFormat = "morex_clusters";
constexpr const char* kVersion = "1";
const std::string kCentroids = "centroids.";

std::string metadata_value(const io::SafetensorsFile& file, const std::string& key) {
  const auto found = file.metadata().find(key);
  MOREX_CHECK(found != file.metadata().end(), ErrorKind::kFormat,
              "[{}] must be a file of centroids, its metadata has no '{}'. Hint: `morex cluster` makes one",
              file.path().string(), key);
  return found->second;
}

at::Tensor read_float(const io::SafetensorsFile& file, const std::string& name, int64_t dimensions) {
  const io::StoredTensor& stored = file.get(name);
  const at::ScalarType type = nn::scalar_type(stored.dtype);
  MOREX_CHECK(at::isFloatingType(type) && static_cast<int64_t>(stored.shape.size()) == dimensions, ErrorKind::kFormat,
              "[{}] {} must hold floating-point numbers in {} dimensions, got shape {}", file.path().string(), name,
              dimensions, Json(stored.shape).dump());
  const at::Tensor value = nn::tensor_copy(stored, at::kFloat);
  MOREX_CHECK(at::isfinite(value).all().item<bool>(), ErrorKind::kFormat, "[{}] {} must hold finite numbers",
              file.path().string(), name);
  return value;
}

// "" in files that somebody else made of bare centroids.
std::vector<std::vector<std::string>> read_nearest(const io::SafetensorsFile& file, const std::string& count) {
  const auto found = file.metadata().find("nearest." + count);
  if (found == file.metadata().end()) return {};
  const std::string where = file.path().string();
  const Json lists = parse_json(found->second, where);
  try {
    return lists.get<std::vector<std::vector<std::string>>>();
  } catch (const Json::exception&) {
    fail(ErrorKind::kFormat, "[{}] nearest.{} must be lists of texts", where, count);
  }
}

ClusterSet read_set(const io::SafetensorsFile& file, const std::string& count, int64_t width) {
  ClusterSet set;
  set.centroids = read_float(file, kCentroids + count, 2);
  MOREX_CHECK(std::to_string(set.centroids.size(0)) == count && set.centroids.size(1) == width, ErrorKind::kFormat,
              "[{}] {}{} must have shape [{}, {}], got {}", file.path().string(), kCentroids, count, count, width,
              Json(set.centroids.sizes().vec()).dump());
  const io::StoredTensor& sizes = file.get("sizes." + count);
  MOREX_CHECK(sizes.dtype == io::DType::kI64 && sizes.shape == std::vector<int64_t>{set.centroids.size(0)},
              ErrorKind::kFormat, "[{}] sizes.{} must be {} int64 numbers", file.path().string(), count, count);
  const at::Tensor values = nn::tensor_copy(sizes, at::kLong);
  set.sizes.assign(values.const_data_ptr<int64_t>(), values.const_data_ptr<int64_t>() + values.numel());
  set.nearest = read_nearest(file, count);
  return set;
}

}  // namespace

void save_clusters(const fs::path& path, const Clusters& clusters) {
  std::vector<std::pair<std::string, at::Tensor>> tensors = {{"mean", clusters.mean}};
  std::map<std::string, std::string> metadata = {{"format", kFormat},
                                                 {"version", kVersion},
                                                 {"embedder", clusters.embedder},
                                                 {"base_digest", clusters.base_digest},
                                                 {"normalised", clusters.normalised ? "true" : "false"},
                                                 {"seed", std::to_string(clusters.seed)}};
  for (const ClusterSet& set : clusters.sets) {
    const std::string count = std::to_string(set.centroids.size(0));
    tensors.emplace_back(kCentroids + count, set.centroids);
    tensors.emplace_back("sizes." + count, at::tensor(set.sizes, at::TensorOptions().dtype(at::kLong)));
    metadata["nearest." + count] = Json(set.nearest).dump(-1, ' ', false, Json::error_handler_t::replace);
  }
  nn::save_tensors(path, tensors, metadata);
}

Clusters load_clusters(const fs::path& path) {
  const io::SafetensorsFile file = io::SafetensorsFile::open(path);
  const std::string format = metadata_value(file, "format"), version = metadata_value(file, "version");
  MOREX_CHECK(format == kFormat && version == kVersion, ErrorKind::kFormat,
              "[{}] must be a file of centroids ({} version {}), got {} version {}", path.string(), kFormat, kVersion,
              format, version);
  Clusters clusters;
  clusters.embedder = metadata_value(file, "embedder");
  clusters.base_digest = metadata_value(file, "base_digest");
  clusters.normalised = metadata_value(file, "normalised") == "true";
  clusters.seed = std::strtoull(metadata_value(file, "seed").c_str(), nullptr, 10);
  clusters.mean = read_float(file, "mean", 1);
  for (const io::StoredTensor& stored : file.tensors())
    if (stored.name.starts_with(kCentroids))
      clusters.sets.push_back(read_set(file, stored.name.substr(kCentroids.size()), clusters.mean.size(0)));
  MOREX_CHECK(!clusters.sets.empty(), ErrorKind::kFormat, "[{}] must hold centroids, it holds none", path.string());
  return clusters;
}

}  // namespace morex::eval
