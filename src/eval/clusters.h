// Semantic clusters of prompts: centroids, and the similarity of a prompt to each ("intuition", T-REX, arXiv
// 2404.08985).
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "eval/embedder.h"

namespace morex::eval {

// Its name in an adapter folder.
inline constexpr const char* kClusterFile = "clusters.safetensors";

// The centroids for sites with K gates, and what was found when they were made.
struct ClusterSet {
  at::Tensor centroids;                           // [K, D] float32
  std::vector<int64_t> sizes;                     // prompts of each cluster
  std::vector<std::vector<std::string>> nearest;  // of each cluster, texts of the prompts nearest to its centroid
  std::vector<double> silhouettes;                // mean of each cluster's prompts; 0 for an empty one
  double inertia = 0.0;                           // mean squared distance of a prompt to its centroid
};

struct Clusters {
  EmbedderIdentity embedder;
  bool normalised = false;  // centroids have length 1
  uint64_t seed = 0;
  at::Tensor mean;  // [D] float32, taken off every vector before it is compared; zeros for all embedders but the base
  // Of given vectors, one prompt and its vector [D] float32: an encoder that is to stand in for them is known by it.
  std::string probe_text;
  at::Tensor probe;
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
// DEVIATION: the official code compares sentence embeddings as they are, and so do we. Mean-pooled states of a causal
// model all lie in one narrow cone, where every similarity is near 1; without the mean of the prompts they tell prompts
// apart.
Clusters make_clusters(const at::Tensor& embeddings, const std::vector<std::string>& texts,
                       const EmbedderIdentity& embedder, const ClusterOptions& options);

// Embeddings [N, D] or [D] as they are compared with centroids: unit(embedding - mean), float64.
at::Tensor compared(const Clusters& clusters, const at::Tensor& embeddings);
// s = C·e with e as compared: [K] float32 for each set. embedding [D].
std::vector<at::Tensor> cluster_scores(const Clusters& clusters, const at::Tensor& embedding);

// The same centroids with sizes, nearest texts, silhouettes and inertia of these prompts, each with its nearest
// centroid. embeddings [N, D], texts: N. `assignment` receives the clusters of each set's prompts.
Clusters describe_with(const Clusters& clusters, const at::Tensor& embeddings, const std::vector<std::string>& texts,
                       int64_t examples, std::vector<std::vector<int64_t>>& assignment);

double mean_silhouette(const ClusterSet& set);  // over all prompts

void save_clusters(const std::filesystem::path& path, const Clusters& clusters);
// Throws Error(kFormat) naming the file and what is wrong with it.
Clusters load_clusters(const std::filesystem::path& path);
// Throws Error(kFormat) unless there is a set for each of `counts`.
void check_counts(const Clusters& clusters, const std::vector<int64_t>& counts, const std::string& where);
// The same, and throws Error(kFormat) unless the vectors are this embedder's. Given vectors
// stand for themselves: the vectors of other data, of the same width, are taken for the same embedder's, an encoder is
// when it gives the probe's vector.
void check_clusters(const Clusters& clusters, const std::vector<int64_t>& counts, const Embedder& embedder,
                    const std::string& where);

}  // namespace morex::eval
