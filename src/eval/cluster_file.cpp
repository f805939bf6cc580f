// The file of centroids: safetensors with `mean` [D] and for each K `centroids.K` [K, D] and `sizes.K` [K]; for given
// vectors `probe` [D]. Metadata says the format's version, the embedder (kind, digest, path), the seed and what is told
// of each set: inertia, silhouettes, the texts nearest to each centroid.
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
constexpr const char* kVersion = "2";
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

// What the metadata tells of a set; nothing where somebody else made a file of bare centroids.
template <typename T>
T told(const io::SafetensorsFile& file, const std::string& key, T fallback) {
  const auto found = file.metadata().find(key);
  if (found == file.metadata().end()) return fallback;
  const std::string where = file.path().string();
  const Json value = parse_json(found->second, where);
  try {
    return value.get<T>();
  } catch (const Json::exception&) {
    fail(ErrorKind::kFormat, "[{}] the metadata's {} must have the form that `morex cluster` writes", where, key);
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
  set.nearest = told<std::vector<std::vector<std::string>>>(file, "nearest." + count, {});
  set.silhouettes = told<std::vector<double>>(file, "silhouettes." + count, {});
  set.inertia = told<double>(file, "inertia." + count, 0.0);
  MOREX_CHECK(set.silhouettes.empty() || set.silhouettes.size() == set.sizes.size(), ErrorKind::kFormat,
              "[{}] silhouettes.{} must be {} numbers, got {}", file.path().string(), count, count,
              set.silhouettes.size());
  return set;
}

}  // namespace

void save_clusters(const fs::path& path, const Clusters& clusters) {
  std::vector<std::pair<std::string, at::Tensor>> tensors = {{"mean", clusters.mean}};
  std::map<std::string, std::string> metadata = {{"format", kFormat},
                                                 {"version", kVersion},
                                                 {"embedder", clusters.embedder.kind},
                                                 {"embedder_digest", clusters.embedder.digest},
                                                 {"embedder_path", clusters.embedder.path},
                                                 {"normalised", clusters.normalised ? "true" : "false"},
                                                 {"seed", std::to_string(clusters.seed)}};
  if (clusters.probe.defined()) {
    tensors.emplace_back("probe", clusters.probe);
    metadata["probe_text"] = clusters.probe_text;
  }
  for (const ClusterSet& set : clusters.sets) {
    const std::string count = std::to_string(set.centroids.size(0));
    tensors.emplace_back(kCentroids + count, set.centroids);
    tensors.emplace_back("sizes." + count, at::tensor(set.sizes, at::TensorOptions().dtype(at::kLong)));
    metadata["nearest." + count] = Json(set.nearest).dump(-1, ' ', false, Json::error_handler_t::replace);
    metadata["silhouettes." + count] = Json(set.silhouettes).dump();
    metadata["inertia." + count] = Json(set.inertia).dump();
  }
  nn::save_tensors(path, tensors, metadata);
}

Clusters load_clusters(const fs::path& path) {
  const io::SafetensorsFile file = io::SafetensorsFile::open(path);
  const std::string format = metadata_value(file, "format"), version = metadata_value(file, "version");
  MOREX_CHECK(format == kFormat && version == kVersion, ErrorKind::kFormat,
              "[{}] must be a file of centroids ({} version {}), got {} version {}. Hint: `morex cluster` makes one",
              path.string(), kFormat, kVersion, format, version);
  Clusters clusters;
  clusters.embedder.kind = metadata_value(file, "embedder");
  clusters.embedder.digest = metadata_value(file, "embedder_digest");
  clusters.embedder.path = metadata_value(file, "embedder_path");
  clusters.normalised = metadata_value(file, "normalised") == "true";
  clusters.seed = std::strtoull(metadata_value(file, "seed").c_str(), nullptr, 10);
  clusters.mean = read_float(file, "mean", 1);
  clusters.embedder.width = clusters.mean.size(0);
  if (clusters.embedder.kind == "vectors") {
    clusters.probe = read_float(file, "probe", 1);
    clusters.probe_text = metadata_value(file, "probe_text");
    MOREX_CHECK(clusters.probe.sizes() == clusters.mean.sizes(), ErrorKind::kFormat,
                "[{}] probe must have shape [{}], got {}", path.string(), clusters.embedder.width,
                Json(clusters.probe.sizes().vec()).dump());
  }
  for (const io::StoredTensor& stored : file.tensors())
    if (stored.name.starts_with(kCentroids))
      clusters.sets.push_back(read_set(file, stored.name.substr(kCentroids.size()), clusters.mean.size(0)));
  MOREX_CHECK(!clusters.sets.empty(), ErrorKind::kFormat, "[{}] must hold centroids, it holds none", path.string());
  return clusters;
}

}  // namespace morex::eval
