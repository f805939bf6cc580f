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
#include "eval/base_embedder.h"
#include "eval/cluster_reader.h"
#include "eval/k_means.h"
#include "eval/silhouette.h"
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

eval::EmbedderIdentity identity(const std::string& kind, int64_t width, const std::string& digest = "digest") {
  return {kind, digest, kind == "encoder" ? "/some/encoder" : "", width};
}

eval::Clusters example(const std::string& kind = "base", bool normalise = false) {
  eval::ClusterOptions options;
  options.counts = {4, 2};
  options.seed = 5;
  options.normalise = normalise;
  return eval::make_clusters(eval::unit_length(filler(0.1, {20, 6})), texts(20), identity(kind, 6), options);
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

TEST(Clusters, Vectors_of_an_encoder_are_compared_as_they_are) {
  // spec/trex.md T11.
  eval::Clusters clusters;
  clusters.mean = at::zeros({3}, at::kFloat);
  eval::ClusterSet set;
  set.centroids = at::tensor({0.6, 0.8, 0.0, 0.0, 0.5, 0.5, 1.0, 0.0, 0.0, -0.3, 0.4, 0.0}, at::kDouble)
                      .view({4, 3})
                      .to(at::kFloat);
  clusters.sets = {set};
  const at::Tensor e = at::tensor({2.0 / 3.0, 1.0 / 3.0, 2.0 / 3.0}, at::kDouble);
  const at::Tensor expected = at::tensor({0.6666666667, 0.5, 0.6666666667, -0.0666666667}, at::kDouble);
  EXPECT_TRUE(near(eval::cluster_scores(clusters, e)[0], expected, 1e-7));
  for (const char* kind : {"encoder", "vectors"}) EXPECT_EQ(example(kind).mean.abs().max().item<float>(), 0.0F) << kind;
  EXPECT_GT(example("base").mean.abs().max().item<float>(), 0.0F);
}

TEST(Clusters, Normalised_centroids_have_length_one) {
  for (const eval::ClusterSet& set : example("base", true).sets)
    EXPECT_TRUE(near(set.centroids.square().sum(1).sqrt(), at::zeros({set.centroids.size(0)}) + 1.0, 1e-6));
}

TEST(Clusters, Described_with_their_own_prompts_they_are_as_they_were_made) {
  const eval::Clusters clusters = example();
  std::vector<std::vector<int64_t>> assignment;
  const eval::Clusters again =
      eval::describe_with(clusters, eval::unit_length(filler(0.1, {20, 6})), texts(20), 3, assignment);
  ASSERT_EQ(assignment.size(), 2U);
  for (size_t s = 0; s < 2; ++s) {
    EXPECT_EQ(again.sets[s].sizes, clusters.sets[s].sizes);
    EXPECT_EQ(again.sets[s].nearest, clusters.sets[s].nearest);
    EXPECT_EQ(again.sets[s].inertia, clusters.sets[s].inertia);
    EXPECT_GT(again.sets[s].inertia, 0.0);
  }
  EXPECT_LT(again.find(4)->inertia, again.find(2)->inertia);
}

TEST(Clusters, Silhouettes_are_those_of_the_definition) {
  const at::Tensor points = filler(0.4, {40, 3});
  std::vector<int64_t> own;
  for (int64_t i = 0; i < 40; ++i) own.push_back(i == 39 ? 3 : i * i % 3);  // the last one alone, cluster 4 empty
  const at::Tensor found = eval::silhouettes(points, own, 5);
  for (size_t i = 0; i < own.size(); ++i) {
    std::vector<double> sums(5), counts(5);
    for (size_t j = 0; j < own.size(); ++j) {
      if (i == j) continue;
      const auto row = [&](size_t r) { return points[static_cast<int64_t>(r)]; };
      sums[static_cast<size_t>(own[j])] += (row(i) - row(j)).norm().item<double>();
      counts[static_cast<size_t>(own[j])] += 1;
    }
    const auto mine = static_cast<size_t>(own[i]);
    double expected = 0.0, b = 1e300;
    for (size_t k = 0; k < 5; ++k)
      if (k != mine && counts[k] > 0) b = std::min(b, sums[k] / counts[k]);
    if (counts[mine] > 0) expected = (b - sums[mine] / counts[mine]) / std::max(b, sums[mine] / counts[mine]);
    EXPECT_NEAR(found[static_cast<int64_t>(i)].item<double>(), expected, 1e-9) << i;
  }
  EXPECT_TRUE(eval::silhouettes(points, std::vector<int64_t>(40, 0), 1).eq(0.0).all().item<bool>());
}

TEST(Clusters, A_file_reads_back_as_it_was_written) {
  for (const char* kind : {"base", "encoder", "vectors"}) {
    const auto path = scratch_dir("clusters") / eval::kClusterFile;
    const eval::Clusters written = example(kind);
    eval::save_clusters(path, written);
    const eval::Clusters read = eval::load_clusters(path);
    EXPECT_EQ(read.embedder.kind, kind);
    EXPECT_EQ(read.embedder.digest, "digest");
    EXPECT_EQ(read.embedder.path, written.embedder.path);
    EXPECT_EQ(read.embedder.width, 6);
    EXPECT_EQ(read.seed, 5U);
    EXPECT_TRUE(same_bits(read.mean, written.mean));
    EXPECT_EQ(read.probe.defined(), std::string(kind) == "vectors");
    if (read.probe.defined()) {
      EXPECT_TRUE(same_bits(read.probe, written.probe));
    }
    EXPECT_EQ(read.probe_text, written.probe_text);
    for (const int64_t count : {2, 4}) {
      const eval::ClusterSet *a = read.find(count), *b = written.find(count);
      ASSERT_TRUE(a != nullptr && b != nullptr);
      EXPECT_TRUE(same_bits(a->centroids, b->centroids));
      EXPECT_EQ(a->sizes, b->sizes);
      EXPECT_EQ(a->nearest, b->nearest);
      EXPECT_FALSE(a->nearest.front().empty());
      EXPECT_EQ(a->silhouettes, b->silhouettes);
      EXPECT_EQ(a->inertia, b->inertia);
    }
  }
}

// An embedder that gives one vector for every prompt.
class OneVector : public eval::Embedder {
 public:
  OneVector(eval::EmbedderIdentity identity, at::Tensor vector)
      : identity_(std::move(identity)), vector_(std::move(vector)) {}
  const eval::EmbedderIdentity& identity() const override { return identity_; }
  std::string key(const nn::Prompt& prompt) const override { return prompt.facts.question; }
  at::Tensor embed(const nn::Prompt&) const override { return vector_; }

 private:
  eval::EmbedderIdentity identity_;
  at::Tensor vector_;
};

TEST(Clusters, Only_the_embedder_that_made_them_fits) {
  const at::Tensor vector = eval::unit_length(filler(0.1, {20, 6}))[0], other = eval::unit_length(filler(0.7, {6}));
  const auto fits = [&](const char* made, const eval::EmbedderIdentity& now, const at::Tensor& gives,
                        const std::vector<int64_t>& counts) {
    try {
      eval::check_clusters(example(made), counts, OneVector(now, gives), "f");
      return std::string();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kFormat);
      return std::string(error.what());
    }
  };
  for (const char* kind : {"base", "encoder"}) {
    EXPECT_EQ(fits(kind, identity(kind, 6), vector, {2, 4}), "");
    EXPECT_NE(fits(kind, identity(kind, 6), vector, {3}), "") << "no set of 3";
    EXPECT_NE(fits(kind, identity(kind, 6, "other"), vector, {2}), "");
    EXPECT_NE(fits(kind, identity(kind, 7), vector, {2}), "");
  }
  EXPECT_NE(fits("encoder", identity("base", 6), vector, {2}), "");
  EXPECT_NE(fits("base", identity("vectors", 6), vector, {2}), "");
  EXPECT_EQ(fits("vectors", identity("vectors", 6, "other"), other, {2}), "") << "the vectors of other data";
  EXPECT_NE(fits("vectors", identity("vectors", 5), other, {2}), "");
  EXPECT_EQ(fits("vectors", identity("encoder", 6, "any"), vector, {2}), "") << "it gives the probe's vector";
  EXPECT_NE(fits("vectors", identity("encoder", 6, "any"), other, {2}).find("cosine"), std::string::npos);
  EXPECT_NE(fits("vectors", identity("base", 6), vector, {2}), "");
}

TEST(Clusters, A_file_of_something_else_is_refused) {
  const auto path = scratch_dir("clusters_bad") / "some.safetensors";
  const auto refused = [&] {
    try {
      eval::load_clusters(path);
      ADD_FAILURE() << "not refused";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kFormat);
      EXPECT_NE(std::string(error.what()).find("some.safetensors"), std::string::npos);
    }
  };
  nn::save_tensors(path, {{"mean", at::zeros({3})}}, {{"format", "pt"}});
  refused();
  eval::Clusters clusters = example("vectors");
  clusters.probe = at::zeros({5}, at::kFloat);
  eval::save_clusters(path, clusters);
  refused();
  clusters = example();
  clusters.sets[0].silhouettes.push_back(0.0);
  eval::save_clusters(path, clusters);
  refused();
  clusters = example();
  clusters.sets[0].centroids = at::zeros({3, 5}, at::kFloat);
  eval::save_clusters(path, clusters);
  refused();
}

TEST(ClusterReader, A_prompt_scores_the_same_in_every_batch) {
  Warnings warnings(false, false);
  const auto model = models::load_model(source_dir() / "tests" / "golden" / "data" / "gguf" / "llama_untied_hf",
                                        {at::kFloat, at::kCPU}, warnings);
  const std::vector<nn::Prompt> prompts = {{{1, 5, 9, 4}}, {{7, 7}}, {{3}}};
  std::vector<at::Tensor> embeddings;
  for (const nn::Prompt& prompt : prompts) embeddings.push_back(eval::embed_prompt(*model, prompt.ids));
  EXPECT_NEAR(embeddings[0].norm().item<double>(), 1.0, 1e-12);
  eval::ClusterOptions options;
  options.counts = {2};
  int64_t on_base = 0;
  const auto base = [&] {
    return std::make_unique<eval::BaseEmbedder>(*model, [&](const std::function<void()>& body) {
      ++on_base;
      body();
    });
  };
  const eval::Clusters clusters = eval::make_clusters(at::stack(embeddings, 0), texts(3), base()->identity(), options);
  const eval::ClusterReader reader(base(), clusters, at::kCPU);
  nn::BatchContext together, alone;
  reader.read(prompts, together);
  reader.read(prompts, together);
  EXPECT_EQ(on_base, 3) << "once for each prompt";
  const at::Tensor scores = together.per_sequence.at("cluster_scores");
  EXPECT_EQ(scores.sizes().vec(), (std::vector<int64_t>{3, 2}));
  const eval::ClusterReader fresh(base(), clusters, at::kCPU);
  fresh.read({prompts[1]}, alone);
  EXPECT_TRUE(same_bits(alone.per_sequence.at("cluster_scores")[0], scores[1]));
  EXPECT_THROW(fresh.read({nn::Prompt(std::vector<int64_t>())}, alone), Error);
}

}  // namespace
}  // namespace morex::test
