#include "eval/clusters.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/mv.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "base/error.h"
#include "eval/k_means.h"
#include "eval/prompt_embedding.h"

namespace morex::eval {
namespace {

at::Tensor centred(const at::Tensor& embeddings, const at::Tensor& mean) {
  return unit_length(embeddings.to(at::kDouble) - mean.to(at::kDouble));
}

// The texts nearest to each centroid, each text once.
std::vector<std::vector<std::string>> nearest_texts(const KMeans& found, const at::Tensor& points,
                                                    const std::vector<std::string>& texts, int64_t most) {
  const at::Tensor own =
      found.centroids.index_select(0, at::tensor(found.assignment, at::TensorOptions().dtype(at::kLong)));  // [N, D]
  const at::Tensor distance = (points.to(at::kDouble) - own).square().sum(1).contiguous();                  // [N]
  const double* d = distance.const_data_ptr<double>();
  std::vector<size_t> order(texts.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [d](size_t a, size_t b) { return d[a] < d[b]; });
  std::vector<std::vector<std::string>> nearest(found.sizes.size());
  for (const size_t i : order) {
    std::vector<std::string>& list = nearest[static_cast<size_t>(found.assignment[i])];
    if (static_cast<int64_t>(list.size()) < most && std::find(list.begin(), list.end(), texts[i]) == list.end())
      list.push_back(texts[i]);
  }
  return nearest;
}

}  // namespace

const ClusterSet* Clusters::find(int64_t gates) const {
  for (const ClusterSet& set : sets)
    if (set.centroids.size(0) == gates) return &set;
  return nullptr;
}

Clusters make_clusters(const at::Tensor& embeddings, const std::vector<std::string>& texts, std::string base_digest,
                       const ClusterOptions& options) {
  const at::NoGradGuard no_gradients;
  MOREX_ASSERT(static_cast<int64_t>(texts.size()) == embeddings.size(0));
  Clusters made;
  made.embedder = kBaseEmbedder;
  made.base_digest = std::move(base_digest);
  made.normalised = options.normalise;
  made.seed = options.seed;
  made.mean = embeddings.to(at::kDouble).mean(0).to(at::kFloat);
  const at::Tensor points = centred(embeddings, made.mean);
  for (const int64_t count : std::set<int64_t>(options.counts.begin(), options.counts.end())) {
    const KMeans found = k_means(points, count, options.seed);
    ClusterSet set;
    set.centroids = (options.normalise ? unit_length(found.centroids) : found.centroids).to(at::kFloat);
    set.sizes = found.sizes;
    set.nearest = nearest_texts(found, points, texts, options.examples);
    made.sets.push_back(std::move(set));
  }
  return made;
}

std::vector<at::Tensor> cluster_scores(const Clusters& clusters, const at::Tensor& embedding) {
  const at::NoGradGuard no_gradients;
  const at::Tensor e = centred(embedding, clusters.mean);
  std::vector<at::Tensor> scores;
  for (const ClusterSet& set : clusters.sets) scores.push_back(at::mv(set.centroids.to(at::kDouble), e).to(at::kFloat));
  return scores;
}

void check_clusters(const Clusters& clusters, const std::vector<int64_t>& counts, const std::string& base_digest,
                    int64_t width, const std::string& where) {
  for (const int64_t count : counts)
    MOREX_CHECK(clusters.find(count) != nullptr, ErrorKind::kFormat,
                "[{}] there must be a set of {} centroids, one for each gate, there is none. Hint: `morex cluster "
                "--clusters {}`",
                where, count, count);
  MOREX_CHECK(clusters.mean.size(0) == width, ErrorKind::kFormat,
              "[{}] vectors must be as wide as the base's hidden states, {}, got {}", where, width,
              clusters.mean.size(0));
  MOREX_CHECK(clusters.base_digest == base_digest, ErrorKind::kFormat,
              "[{}] the centroids must be made with this base (digest {}), got the base with digest {}", where,
              base_digest, clusters.base_digest);
}

}  // namespace morex::eval
