// Semantic clusters of prompts: centroids, and the similarity of a prompt to each ("intuition", T-REX, arXiv
// 2404.08985).
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace morex::eval {

// Its name in an adapter folder.
inline constexpr const char* kClusterFile = "clusters.safetensors";

// The centroids for sites with K gates.
struct ClusterSet {
  at::Tensor centroids;                           // [K, D] float32
  std::vector<int64_t> sizes;                     // prompts of each cluster
  std::vector<std::vector<std::string>> nearest;  // of each cluster, texts of the prompts nearest to its centroid
};

struct Clusters {
  std::string embedder;     // where the vectors come from
  std::string base_digest;  // of the model that made them
  bool normalised = false;  // centroids have length 1
  uint64_t seed = 0;
  at::Tensor mean;  // [D] float32, taken off every vector before it is compared
  std::vector<ClusterSet> sets;

  const ClusterSet* find(int64_t gates) const;  // null: there is none
};

struct ClusterOptions {
  std::vector<int64_t> counts;  // a set for each K
  uint64_t seed = 0;
  bool normalise = false;
  int64_t examples = 3;  // texts kept for each cluster
};

// embeddings [N, D] of length 1, texts: N. Mean and centroids are rounded to float32, as they will be stored.
// DEVIATION: the official code compares sentence embeddings as they are. Mean-pooled states of a causal model all lie
// in one narrow cone, where every similarity is near 1; without the mean of the prompts they tell prompts apart.
Clusters make_clusters(const at::Tensor& embeddings, const std::vector<std::string>& texts, std::string base_digest,
                       const ClusterOptions& options);

// s = C·e with e = unit(embedding - mean): [K] float32 for each set. embedding [D].
std::vector<at::Tensor> cluster_scores(const Clusters& clusters, const at::Tensor& embedding);

void save_clusters(const std::filesystem::path& path, const Clusters& clusters);
// Throws Error(kFormat) naming the file and what is wrong with it.
Clusters load_clusters(const std::filesystem::path& path);
// Throws Error(kFormat) unless there is a set for each of `counts` and the vectors are those of this base.
void check_clusters(const Clusters& clusters, const std::vector<int64_t>& counts, const std::string& base_digest,
                    int64_t width, const std::string& where);

}  // namespace morex::eval
