#include "eval/clusters.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/mv.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "base/error.h"
#include "eval/k_means.h"
#include "eval/silhouette.h"

namespace morex::eval {
namespace {

// The texts nearest to each centroid, each text once.
std::vector<std::vector<std::string>> nearest_texts(const std::vector<int64_t>& assignment, const at::Tensor& squared,
                                                    const std::vector<std::string>& texts, size_t clusters,
                                                    int64_t most) {
  const double* d = squared.const_data_ptr<double>();
  std::vector<size_t> order(texts.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [d](size_t a, size_t b) { return d[a] < d[b]; });
  std::vector<std::vector<std::string>> nearest(clusters);
  for (const size_t i : order) {
    std::vector<std::string>& list = nearest[static_cast<size_t>(assignment[i])];
    if (static_cast<int64_t>(list.size()) < most && std::find(list.begin(), list.end(), texts[i]) == list.end())
      list.push_back(texts[i]);
  }
  return nearest;
}

// What is told of a set besides its centroids. points [N, D] as compared.
void describe(ClusterSet& set, const at::Tensor& points, const std::vector<int64_t>& assignment,
              const std::vector<std::string>& texts, int64_t examples) {
  const auto clusters = static_cast<size_t>(set.centroids.size(0));
  const at::Tensor own = set.centroids.to(at::kDouble).index_select(0, at::tensor(assignment, at::kLong));  // [N, D]
  const at::Tensor squared = (points.to(at::kDouble) - own).square().sum(1).contiguous();                   // [N]
  const at::Tensor each = silhouettes(points, assignment, set.centroids.size(0)).contiguous();              // [N]
  set.inertia = squared.mean().item<double>();
  set.nearest = nearest_texts(assignment, squared, texts, clusters, examples);
  set.sizes.assign(clusters, 0);
  set.silhouettes.assign(clusters, 0.0);
  for (size_t i = 0; i < assignment.size(); ++i) {
    ++set.sizes[static_cast<size_t>(assignment[i])];
    set.silhouettes[static_cast<size_t>(assignment[i])] += each.const_data_ptr<double>()[i];
  }
  for (size_t k = 0; k < clusters; ++k) set.silhouettes[k] /= static_cast<double>(std::max<int64_t>(1, set.sizes[k]));
}

}  // namespace

const ClusterSet* Clusters::find(int64_t gates) const {
  for (const ClusterSet& set : sets)
    if (set.centroids.size(0) == gates) return &set;
  return nullptr;
}

Clusters make_clusters(const at::Tensor& embeddings, const std::vector<std::string>& texts,
                       const EmbedderIdentity& embedder, const ClusterOptions& options) {
  const at::NoGradGuard no_gradients;
  MOREX_ASSERT(static_cast<int64_t>(texts.size()) == embeddings.size(0) && embedder.width == embeddings.size(1));
  Clusters made;
  made.embedder = embedder;
  made.normalised = options.normalise;
  made.seed = options.seed;
  made.mean = embedder.kind == "base" ? embeddings.to(at::kDouble).mean(0).to(at::kFloat)
                                      : at::zeros({embedder.width}, at::kFloat);
  if (embedder.kind == "vectors") {
    made.probe_text = texts.front();
    made.probe = embeddings[0].to(at::kFloat);
  }
  const at::Tensor points = compared(made, embeddings);
  for (const int64_t count : std::set<int64_t>(options.counts.begin(), options.counts.end())) {
    const KMeans found = k_means(points, count, options.seed);
    ClusterSet set;
    set.centroids = (options.normalise ? unit_length(found.centroids) : found.centroids).to(at::kFloat);
    describe(set, points, found.assignment, texts, options.examples);
    made.sets.push_back(std::move(set));
  }
  return made;
}

at::Tensor compared(const Clusters& clusters, const at::Tensor& embeddings) {
  return unit_length(embeddings.to(at::kDouble) - clusters.mean.to(at::kDouble));
}

std::vector<at::Tensor> cluster_scores(const Clusters& clusters, const at::Tensor& embedding) {
  const at::NoGradGuard no_gradients;
  const at::Tensor e = compared(clusters, embedding);
  std::vector<at::Tensor> scores;
  for (const ClusterSet& set : clusters.sets) scores.push_back(at::mv(set.centroids.to(at::kDouble), e).to(at::kFloat));
  return scores;
}

double mean_silhouette(const ClusterSet& set) {
  double sum = 0.0;
  int64_t prompts = 0;
  for (size_t k = 0; k < set.silhouettes.size(); ++k) {
    sum += set.silhouettes[k] * static_cast<double>(set.sizes[k]);
    prompts += set.sizes[k];
  }
  return prompts > 0 ? sum / static_cast<double>(prompts) : 0.0;
}

Clusters describe_with(const Clusters& clusters, const at::Tensor& embeddings, const std::vector<std::string>& texts,
                       int64_t examples, std::vector<std::vector<int64_t>>& assignment) {
  const at::NoGradGuard no_gradients;
  Clusters described = clusters;
  const at::Tensor points = compared(clusters, embeddings);  // [N, D]
  assignment.clear();
  for (ClusterSet& set : described.sets) {
    const at::Tensor c = set.centroids.to(at::kDouble);                                                   // [K, D]
    const at::Tensor nearest = (c.square().sum(1) - at::mm(points, c.t()) * 2.0).argmin(1).contiguous();  // [N]
    const int64_t* begin = nearest.const_data_ptr<int64_t>();
    assignment.emplace_back(begin, begin + nearest.numel());
    describe(set, points, assignment.back(), texts, examples);
  }
  return described;
}

namespace {

std::string named(const EmbedderIdentity& embedder) {
  if (embedder.kind == "base") return fmt::format("the base with digest {}", embedder.digest);
  if (embedder.kind == "encoder") return fmt::format("the encoder with digest {} ({})", embedder.digest, embedder.path);
  return "given vectors";
}

// An encoder that is to stand in for vectors somebody computed with it.
void check_probe(const Clusters& clusters, const Embedder& embedder, const std::string& where) {
  SequenceFacts facts;
  facts.question = clusters.probe_text;
  const at::Tensor given = unit_length(clusters.probe.to(at::kDouble));
  const double cosine = (given * embedder.embed({{}, facts})).sum().item<double>();
  constexpr double kSame = 0.999;  // vectors may have been computed and stored in half precision
  MOREX_CHECK(cosine >= kSame, ErrorKind::kFormat,
              "[{}] the encoder must give the vector that the centroids' maker gave for the text '{}', their cosine is "
              "{:.4f}. Hint: another encoder, or the prompts' own vectors",
              where, clusters.probe_text, cosine);
}

}  // namespace

void check_counts(const Clusters& clusters, const std::vector<int64_t>& counts, const std::string& where) {
  for (const int64_t count : counts)
    MOREX_CHECK(clusters.find(count) != nullptr, ErrorKind::kFormat,
                "[{}] there must be a set of {} centroids, one for each gate, there is none. Hint: `morex cluster "
                "--clusters {}`",
                where, count, count);
}

void check_clusters(const Clusters& clusters, const std::vector<int64_t>& counts, const Embedder& embedder,
                    const std::string& where) {
  check_counts(clusters, counts, where);
  const EmbedderIdentity &made = clusters.embedder, &now = embedder.identity();
  const bool given = made.kind == "vectors" && now.kind != "base";
  MOREX_CHECK(given || (made.kind == now.kind && made.digest == now.digest), ErrorKind::kFormat,
              "[{}] the centroids must be made with the vectors that prompts get, but they come from {}, prompts are "
              "read by {}",
              where, named(made), named(now));
  MOREX_CHECK(made.width == now.width, ErrorKind::kFormat, "[{}] vectors must be {} wide as the centroids are, got {}",
              where, made.width, now.width);
  if (given && now.kind == "encoder") check_probe(clusters, embedder, where);
}

}  // namespace morex::eval
