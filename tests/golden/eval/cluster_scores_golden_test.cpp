// Every reference case with centroids and embeddings: the scores that a run would read are the reference's products.
#include <ATen/core/Tensor.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/files.h"
#include "eval/sequence_reader.h"
#include "eval/vector_table.h"
#include "nn/tensor_file.h"
#include "support/golden_tensors.h"
#include "support/paths.h"

namespace morex::test {
namespace {

namespace fs = std::filesystem;

// Files that hold centroids, with the file of their embeddings.
std::vector<std::pair<fs::path, fs::path>> cases() {
  std::vector<std::pair<fs::path, fs::path>> found;
  const fs::path methods = golden_dir() / "methods";
  if (!fs::exists(methods)) return found;
  for (const auto& entry : fs::recursive_directory_iterator(methods)) {
    if (entry.path().extension() != ".safetensors") continue;
    const io::SafetensorsFile file = io::SafetensorsFile::open(entry.path());
    if (file.find("centroids") == nullptr) continue;
    const bool own = file.find("embeddings") != nullptr;
    found.emplace_back(entry.path(), own ? entry.path() : methods / "model" / "batches.safetensors");
  }
  return found;
}

TEST(ClusterScoresGolden, Given_vectors_score_as_the_reference_does) {
  const auto found = cases();
  if (found.empty()) GTEST_SKIP() << "no reference case with centroids in " << golden_dir();
  for (const auto& [with_centroids, with_embeddings] : found) {
    SCOPED_TRACE(with_centroids);
    const at::Tensor centroids = GoldenTensors(with_centroids).get("centroids").to(at::kFloat);
    const at::Tensor stored = GoldenTensors(with_embeddings).get("embeddings");
    const at::Tensor embeddings = stored.reshape({-1, stored.size(-1)});  // [N, D]
    const fs::path folder = scratch_dir("cluster_scores_golden");
    nn::save_tensors(folder / "vectors.safetensors", {{"vectors", embeddings}});
    std::string rows;
    for (int64_t i = 0; i < embeddings.size(0); ++i) rows += "{\"prompt\": \"a\", \"completion\": \"b\"}\n";
    write_text_file(folder / "rows.jsonl", rows);

    eval::Clusters clusters;
    clusters.mean = at::zeros({centroids.size(1)}, at::kFloat);
    eval::ClusterSet set;
    set.centroids = centroids;
    clusters.sets = {set};
    const std::vector<eval::GivenVectors> files = {{folder / "vectors.safetensors", folder / "rows.jsonl"}};
    nn::SequenceNeeds needs;
    needs.clusters = {centroids.size(0)};
    const eval::SequenceReader reader(
        needs, std::make_unique<eval::ClusterReader>(std::make_unique<eval::VectorTable>(files), clusters, at::kCPU),
        at::kCPU);
    std::vector<nn::Prompt> prompts;
    for (int64_t i = 0; i < embeddings.size(0); ++i) {
      SequenceFacts facts;
      facts.row = i;
      prompts.emplace_back(std::vector<int64_t>{1}, facts);
    }
    nn::BatchContext ctx;
    reader.read(prompts, ctx);
    const at::Tensor expected = at::mm(embeddings.to(at::kDouble), centroids.to(at::kDouble).t());
    EXPECT_TRUE(near(ctx.per_sequence.at("cluster_scores"), expected, 1e-6));
  }
}

}  // namespace
}  // namespace morex::test
