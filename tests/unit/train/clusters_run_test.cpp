// Runs whose gates know the prompts' clusters: the centroids are made, kept beside the adapter, and used again.
#include <gtest/gtest.h>

#include "base/files.h"
#include "eval/clusters.h"
#include "unit/train/tiny_run.h"

namespace morex::train {
namespace {

namespace fs = std::filesystem;
using test::adapter_bytes;
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

}  // namespace
}  // namespace morex::train
