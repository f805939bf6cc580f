// Runs whose gates know the prompts' clusters: the centroids are made, kept beside the adapter, and used again.
#include <ATen/core/Tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/files.h"
#include "eval/clusters.h"
#include "nn/tensor_file.h"
#include "support/paths.h"
#include "unit/train/tiny_run.h"

namespace morex::train {
namespace {

namespace fs = std::filesystem;
using test::adapter_bytes;
using test::refusal;
using test::run;
using test::TinyRun;

Json trex(const Json& more = Json::object()) {
  Json recipe = {{"method", "trex"}, {"experts", {{"rank_allocation", {2, 3}}}}};
  recipe.update(more);
  return recipe;
}

std::string clusters_bytes(const fs::path& folder) { return read_text_file(folder / eval::kClusterFile); }

TEST(ClustersRun, Makes_centroids_and_resumes_with_them_bit_for_bit) {
  const TinyRun tiny("clusters", 11);
  const Json more = {{"validation_file", (tiny.folder() / "valid.jsonl").string()},
                     {"sample_prompts", {"the hand ="}},
                     {"save_steps", 3},
                     {"eval_steps", 3}};
  run(tiny.recipe("whole", trex(more)));
  const eval::Clusters clusters = eval::load_clusters(tiny.output("whole") / eval::kClusterFile);
  ASSERT_NE(clusters.find(6), nullptr);
  EXPECT_EQ(clusters.sets.size(), 1U);
  int64_t prompts = 0;
  for (const int64_t size : clusters.find(6)->sizes) prompts += size;
  EXPECT_GT(prompts, 6);
  EXPECT_LE(prompts, 11);
  EXPECT_FALSE(test::lines_with(tiny.output("whole") / "metrics.jsonl", "eval_loss").empty());

  Json again = trex(more);
  again["resume_from_checkpoint"] = (tiny.output("whole") / "checkpoint-3").string();
  run(tiny.recipe("again", again));
  EXPECT_EQ(adapter_bytes(tiny.output("again")), adapter_bytes(tiny.output("whole")));
  EXPECT_EQ(clusters_bytes(tiny.output("again")), clusters_bytes(tiny.output("whole")));

  Json given = trex(more);
  given["clusters_file"] = (tiny.output("whole") / eval::kClusterFile).string();
  run(tiny.recipe("given", given));
  EXPECT_EQ(adapter_bytes(tiny.output("given")), adapter_bytes(tiny.output("whole")));
}

TEST(ClustersRun, A_file_for_other_gates_is_refused) {
  const TinyRun tiny("clusters_other", 8);
  run(tiny.recipe("six", trex({{"max_steps", 1}})));
  Json four = trex({{"max_steps", 1}});
  four["experts"] = {{"rank_allocation", {2, 2}}};
  four["clusters_file"] = (tiny.output("six") / eval::kClusterFile).string();
  try {
    run(tiny.recipe("four", four));
    FAIL() << "not refused";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kFormat);
    EXPECT_NE(std::string(error.what()).find("4 centroids"), std::string::npos) << error.what();
  }
}

TEST(ClustersRun, Fewer_prompts_than_clusters_is_a_warning) {
  const TinyRun tiny("clusters_few", 4);
  Json recipe = trex({{"max_steps", 1}});
  recipe["experts"] = {{"rank_allocation", {4, 8}}};
  EXPECT_EQ(run(tiny.recipe("out", recipe)).warnings.count("clusters.few_prompts"), 1U);
}

TEST(ClustersRun, Without_scores_there_is_no_file) {
  const TinyRun tiny("clusters_off", 4);
  run(tiny.recipe("out", trex({{"max_steps", 1}, {"prior", {{"use_scores", false}}}})));
  EXPECT_FALSE(fs::exists(tiny.output("out") / eval::kClusterFile));
}

TEST(ClustersRun, An_encoder_reads_the_prompts_and_the_run_resumes_bit_for_bit) {
  const TinyRun tiny("clusters_encoder", 11);
  const Json more = {{"validation_file", (tiny.folder() / "valid.jsonl").string()},
                     {"sample_prompts", {"the hand ="}},
                     {"encoder_name_or_path", test::tiny_encoder().string()},
                     {"save_steps", 3},
                     {"eval_steps", 3}};
  run(tiny.recipe("whole", trex(more)));
  const eval::Clusters clusters = eval::load_clusters(tiny.output("whole") / eval::kClusterFile);
  EXPECT_EQ(clusters.embedder.kind, "encoder");
  EXPECT_EQ(clusters.embedder.path, test::tiny_encoder().string());
  EXPECT_EQ(clusters.embedder.width, 12);
  EXPECT_EQ(clusters.mean.abs().max().item<float>(), 0.0F);

  Json again = trex(more);
  again["resume_from_checkpoint"] = (tiny.output("whole") / "checkpoint-3").string();
  run(tiny.recipe("again", again));
  EXPECT_EQ(adapter_bytes(tiny.output("again")), adapter_bytes(tiny.output("whole")));
  EXPECT_EQ(clusters_bytes(tiny.output("again")), clusters_bytes(tiny.output("whole")));

  run(tiny.recipe("base", trex()));
  EXPECT_NE(adapter_bytes(tiny.output("base")), adapter_bytes(tiny.output("whole")));
}

TEST(ClustersRun, Another_encoder_is_refused) {
  const TinyRun tiny("clusters_another", 8);
  run(tiny.recipe("out", trex({{"max_steps", 1}, {"encoder_name_or_path", test::tiny_encoder().string()}})));
  const fs::path another = tiny.folder() / "encoder";
  fs::copy(test::tiny_encoder(), another, fs::copy_options::recursive);
  write_text_file(another / "sentence_bert_config.json", "{\"max_seq_length\": 9}");
  Json recipe = trex({{"max_steps", 1}, {"clusters_file", (tiny.output("out") / eval::kClusterFile).string()}});
  run(tiny.recipe("recorded", recipe));  // by the path in the file
  recipe["encoder_name_or_path"] = another.string();
  EXPECT_NE(refusal(tiny.recipe("bad", recipe), ErrorKind::kFormat).find("the encoder with digest"), std::string::npos);
}

// Vectors of width 4 that say which row they belong to.
void write_vectors(const fs::path& path, int64_t rows, double turn = 0.0) {
  at::Tensor vectors = at::zeros({rows, 4}, at::kFloat);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < 4; ++j)
      vectors[i][j] = std::cos(static_cast<double>(i * (j + 1)) + turn * static_cast<double>(j));
  nn::save_tensors(path, {{"vectors", vectors}});
}

TEST(ClustersRun, Given_vectors_stand_for_the_rows) {
  const TinyRun tiny("clusters_vectors", 11);
  const auto path = [&](const char* name) { return (tiny.folder() / name).string(); };
  write_vectors(path("t.safetensors"), 11);
  write_vectors(path("v.safetensors"), 4, 0.5);
  const Json more = {{"validation_file", path("valid.jsonl")},
                     {"embeddings_file", path("t.safetensors")},
                     {"validation_embeddings_file", path("v.safetensors")},
                     {"save_steps", 3},
                     {"eval_steps", 3}};
  run(tiny.recipe("whole", trex(more)));
  EXPECT_EQ(eval::load_clusters(tiny.output("whole") / eval::kClusterFile).embedder.kind, "vectors");
  Json again = trex(more);
  again["resume_from_checkpoint"] = (tiny.output("whole") / "checkpoint-3").string();
  run(tiny.recipe("again", again));
  EXPECT_EQ(adapter_bytes(tiny.output("again")), adapter_bytes(tiny.output("whole")));

  write_vectors(path("t.safetensors"), 11, 0.1);
  EXPECT_NE(refusal(tiny.recipe("changed", again), ErrorKind::kConfig).find("embeddings_file has another content"),
            std::string::npos);
  write_vectors(path("v.safetensors"), 5);
  EXPECT_NE(refusal(tiny.recipe("rows", trex(more)), ErrorKind::kData).find("each of the 4 rows"), std::string::npos);
}

TEST(ClustersRun, Embedders_without_a_use_are_refused) {
  const TinyRun tiny("clusters_unused", 4);
  const std::string encoder = test::tiny_encoder().string();
  for (const char* key : {"encoder_name_or_path", "embeddings_file", "clusters_file"})
    EXPECT_NE(refusal(tiny.recipe("a", {{key, encoder}}), ErrorKind::kConfig).find("no meaning"), std::string::npos);
  const auto conflict = [&](const Json& more) { return refusal(tiny.recipe("b", trex(more)), ErrorKind::kConfig); };
  EXPECT_NE(conflict({{"encoder_name_or_path", encoder}, {"embeddings_file", "v"}}).find("one of the two"),
            std::string::npos);
  EXPECT_NE(conflict({{"embeddings_file", "v"}, {"sample_prompts", {"a"}}}).find("sample_prompts"), std::string::npos);
  EXPECT_NE(conflict({{"embeddings_file", "v"}, {"validation_file", "w"}}).find("validation_embeddings_file"),
            std::string::npos);
  EXPECT_NE(conflict({{"validation_embeddings_file", "v"}}).find("needs embeddings_file"), std::string::npos);
}

}  // namespace
}  // namespace morex::train
