#include "train/cluster_prompts.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/stack.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/random.h"
#include "eval/prompt_embedding.h"

namespace morex::train {

ClusteredPrompts clustered_prompts(const std::vector<data::Example>& examples, uint64_t seed) {
  std::set<std::vector<int64_t>> seen;
  ClusteredPrompts all;
  for (const data::Example& example : examples) {
    MOREX_CHECK(example.prompt_length > 0, ErrorKind::kData,
                "[clusters] every row must have a prompt, line {} has none. Hint: rows of data_format text have none; "
                "use_scores: false leaves the clusters out",
                example.line);
    std::vector<int64_t> prompt(example.ids.begin(), example.ids.begin() + example.prompt_length);
    if (!seen.insert(prompt).second) continue;
    all.ids.push_back(std::move(prompt));
    all.texts.push_back(example.prompt_text);
  }
  const auto count = static_cast<int64_t>(all.ids.size());
  if (count <= kClusteredPrompts) return all;
  std::vector<int64_t> drawn = permutation({seed, stream_id("clustered prompts"), 0}, count);
  drawn.resize(static_cast<size_t>(kClusteredPrompts));
  std::sort(drawn.begin(), drawn.end());
  ClusteredPrompts some;
  for (const int64_t i : drawn) {
    some.ids.push_back(all.ids[static_cast<size_t>(i)]);
    some.texts.push_back(all.texts[static_cast<size_t>(i)]);
  }
  return some;
}

std::unique_ptr<eval::ClusterReader> make_cluster_reader(const models::CausalLm& model, Trainable& trainable,
                                                         const std::vector<data::Example>& examples,
                                                         const std::filesystem::path& file, uint64_t seed,
                                                         Warnings& warnings, const std::function<void()>& poll) {
  const std::vector<int64_t> counts = trainable.cluster_counts();
  const auto on_base = [&trainable](const std::function<void()>& body) { trainable.without(body); };
  if (!file.empty()) {
    eval::Clusters clusters = eval::load_clusters(file);
    eval::check_clusters(clusters, counts, model.digest(), model.config().hidden_size, file.string());
    return std::make_unique<eval::ClusterReader>(model, std::move(clusters), on_base);
  }
  const ClusteredPrompts prompts = clustered_prompts(examples, seed);
  std::vector<at::Tensor> embeddings;
  on_base([&] {
    for (const std::vector<int64_t>& prompt : prompts.ids) {
      poll();
      embeddings.push_back(eval::embed_prompt(model, prompt));
    }
  });
  if (static_cast<int64_t>(prompts.ids.size()) < counts.back())
    warnings.add("clusters.few_prompts",
                 fmt::format("[clusters] {} different prompts leave some of {} clusters empty. Hint: more data, or a "
                             "smaller rank_allocation",
                             prompts.ids.size(), counts.back()));
  eval::ClusterOptions options;
  options.counts = counts;
  options.seed = seed;
  auto reader = std::make_unique<eval::ClusterReader>(
      model, eval::make_clusters(at::stack(embeddings, 0), prompts.texts, model.digest(), options), on_base);
  for (size_t i = 0; i < prompts.ids.size(); ++i) reader->remember(prompts.ids[i], embeddings[i]);
  return reader;
}

}  // namespace morex::train
