// k-means, the file of centroids, and the scores of prompts.
#include "eval/clusters.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/sin.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <numeric>

#include "base/error.h"
#include "eval/cluster_reader.h"
#include "eval/k_means.h"
#include "eval/prompt_embedding.h"
#include "models/causal_lm.h"
#include "nn/tensor_file.h"
#include "support/golden_tensors.h"
#include "support/paths.h"

namespace morex::test {
namespace {

at::Tensor filler(double t, at::IntArrayRef shape) {
  return at::sin(at::arange(c10::multiply_integers(shape), at::kDouble).square() * 0.731 + t).view(shape);
}

// Three groups far from each other, ten points each.
at::Tensor three_groups() {
  const at::Tensor noise = filler(0.2, {30, 2}) * 0.1;
  const at::Tensor centres = at::tensor({0.0, 0.0, 10.0, 0.0, 0.0, 10.0}, at::kDouble).view({3, 2});
  return noise + centres.repeat_interleave(10, 0);
}

TEST(KMeans, Finds_groups_that_are_far_apart) {
  const at::Tensor points = three_groups();
  for (uint64_t seed = 0; seed < 5; ++seed) {
    const eval::KMeans found = eval::k_means(points, 3, seed);
    for (int64_t group = 0; group < 3; ++group) {
      const int64_t cluster = found.assignment[static_cast<size_t>(group * 10)];
      EXPECT_EQ(found.sizes[static_cast<size_t>(cluster)], 10);
      EXPECT_TRUE(near(found.centroids[cluster], points.narrow(0, group * 10, 10).mean(0), 1e-12));
    }
  }
}

TEST(KMeans, Every_point_is_with_its_nearest_centroid_and_each_centroid_is_a_mean) {
  const at::Tensor points = filler(0.4, {200, 5});
  const eval::KMeans found = eval::k_means(points, 7, 11);
  EXPECT_EQ(std::accumulate(found.sizes.begin(), found.sizes.end(), int64_t{0}), 200);
  const at::Tensor own = at::tensor(found.assignment, at::kLong);
  const at::Tensor all = (points.unsqueeze(1) - found.centroids.unsqueeze(0)).square().sum(2);  // [N, K]
  EXPECT_TRUE(at::equal(all.argmin(1), own));
  for (int64_t k = 0; k < 7; ++k) EXPECT_TRUE(near(found.centroids[k], points.index({own == k}).mean(0), 1e-12)) << k;
  EXPECT_NEAR(found.inertia, all.gather(1, own.unsqueeze(1)).sum().item<double>(), 1e-9);
  EXPECT_LT(found.inertia, eval::k_means(points, 6, 11).inertia);
}

TEST(KMeans, The_same_seed_gives_the_same_bits) {
  const at::Tensor points = filler(0.4, {100, 4});
  EXPECT_TRUE(same_bits(eval::k_means(points, 8, 3).centroids, eval::k_means(points, 8, 3).centroids));
  EXPECT_FALSE(at::equal(eval::k_means(points, 8, 3).centroids, eval::k_means(points, 8, 4).centroids));
}

TEST(KMeans, Fewer_distinct_points_than_clusters_leave_some_empty) {
  const at::Tensor points = three_groups().index_select(0, at::tensor({0, 0, 10, 10, 10}, at::kLong));
  const eval::KMeans found = eval::k_means(points, 4, 1);
  EXPECT_EQ(std::count(found.sizes.begin(), found.sizes.end(), 0), 2);
  EXPECT_NEAR(found.inertia, 0.0, 1e-12);
}

TEST(KMeans, Refuses_what_it_cannot_cluster) {
  EXPECT_THROW(eval::k_means(at::zeros({0, 2}), 2, 1), Error);
  EXPECT_THROW(eval::k_means(at::zeros({3, 2}), 0, 1), Error);
  EXPECT_THROW(eval::k_means(at::zeros({3, 2}) / 0.0, 2, 1), Error);
}

std::vector<std::string> texts(int64_t count) {
  std::vector<std::string> all;
  for (int64_t i = 0; i < count; ++i) all.push_back("prompt " + std::to_string(i));
  return all;
}

eval::Clusters example(bool normalise = false) {
  eval::ClusterOptions options;
  options.counts = {4, 2};
  options.seed = 5;
  options.normalise = normalise;
  return eval::make_clusters(eval::unit_length(filler(0.1, {20, 6})), texts(20), "digest", options);
}

TEST(Clusters, Scores_are_products_with_the_centred_embedding) {
  const eval::Clusters clusters = example();
  ASSERT_EQ(clusters.sets.size(), 2U);
  const at::Tensor e = eval::unit_length(filler(0.9, {6}));
  const at::Tensor centred = eval::unit_length(e - clusters.mean.to(at::kDouble));
  const auto scores = eval::cluster_scores(clusters, e);
  for (size_t s = 0; s < 2; ++s)
    EXPECT_TRUE(near(scores[s], clusters.sets[s].centroids.to(at::kDouble).mv(centred), 1e-6));
}

TEST(Clusters, Normalised_centroids_have_length_one) {
  for (const eval::ClusterSet& set : example(true).sets)
    EXPECT_TRUE(near(set.centroids.square().sum(1).sqrt(), at::zeros({set.centroids.size(0)}) + 1.0, 1e-6));
}

TEST(Clusters, A_file_reads_back_as_it_was_written) {
  const auto path = scratch_dir("clusters") / eval::kClusterFile;
  const eval::Clusters written = example();
  eval::save_clusters(path, written);
  const eval::Clusters read = eval::load_clusters(path);
  EXPECT_EQ(read.embedder, written.embedder);
  EXPECT_EQ(read.base_digest, "digest");
  EXPECT_EQ(read.seed, 5U);
  EXPECT_TRUE(same_bits(read.mean, written.mean));
  for (const int64_t count : {2, 4}) {
    const eval::ClusterSet *a = read.find(count), *b = written.find(count);
    ASSERT_TRUE(a != nullptr && b != nullptr);
    EXPECT_TRUE(same_bits(a->centroids, b->centroids));
    EXPECT_EQ(a->sizes, b->sizes);
    EXPECT_EQ(a->nearest, b->nearest);
    EXPECT_FALSE(a->nearest.front().empty());
  }
  EXPECT_NO_THROW(eval::check_clusters(read, {2, 4}, "digest", 6, "f"));
  EXPECT_THROW(eval::check_clusters(read, {3}, "digest", 6, "f"), Error);
  EXPECT_THROW(eval::check_clusters(read, {2}, "other", 6, "f"), Error);
  EXPECT_THROW(eval::check_clusters(read, {2}, "digest", 7, "f"), Error);
}

TEST(Clusters, A_file_of_something_else_is_refused) {
  const auto path = scratch_dir("clusters_bad") / "some.safetensors";
  nn::save_tensors(path, {{"mean", at::zeros({3})}}, {{"format", "pt"}});
  try {
    eval::load_clusters(path);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kFormat);
    EXPECT_NE(std::string(error.what()).find("some.safetensors"), std::string::npos);
  }
}

TEST(ClusterReader, A_prompt_scores_the_same_in_every_batch) {
  Warnings warnings(false, false);
  const auto model = models::load_model(source_dir() / "tests" / "golden" / "data" / "gguf" / "llama_untied_hf",
                                        {at::kFloat, at::kCPU}, warnings);
  const std::vector<std::vector<int64_t>> prompts = {{1, 5, 9, 4}, {7, 7}, {3}};
  std::vector<at::Tensor> embeddings;
  for (const auto& prompt : prompts) embeddings.push_back(eval::embed_prompt(*model, prompt));
  EXPECT_NEAR(embeddings[0].norm().item<double>(), 1.0, 1e-12);
  eval::ClusterOptions options;
  options.counts = {2};
  const eval::Clusters clusters = eval::make_clusters(at::stack(embeddings, 0), texts(3), "d", options);
  int64_t on_base = 0;
  const eval::ClusterReader reader(*model, clusters, [&](const std::function<void()>& body) {
    ++on_base;
    body();
  });
  nn::BatchContext together, alone;
  reader.read(prompts, together);
  reader.read(prompts, together);
  EXPECT_EQ(on_base, 1);
  const at::Tensor scores = together.per_sequence.at("cluster_scores");
  EXPECT_EQ(scores.sizes().vec(), (std::vector<int64_t>{3, 2}));
  const eval::ClusterReader fresh(*model, clusters, [](const std::function<void()>& body) { body(); });
  fresh.read({prompts[1]}, alone);
  EXPECT_TRUE(same_bits(alone.per_sequence.at("cluster_scores")[0], scores[1]));
  EXPECT_THROW(fresh.read({{}}, alone), Error);
}

}  // namespace
}  // namespace morex::test
