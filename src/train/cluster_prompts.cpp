#include "train/cluster_prompts.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/stack.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/random.h"
#include "eval/prompts.h"

namespace morex::train {

std::vector<nn::Prompt> prompts_of(const std::vector<data::Example>& examples) {
  std::vector<nn::Prompt> prompts;
  for (const data::Example& example : examples) {
    MOREX_CHECK(example.prompt_length > 0, ErrorKind::kData,
                "[clusters] every row must have a prompt, line {} has none. Hint: rows of data_format text have none; "
                "use_scores: false leaves the clusters out",
                example.line);
    prompts.push_back(eval::prompt_of(example));
  }
  return prompts;
}

std::vector<nn::Prompt> clustered_prompts(std::vector<nn::Prompt> prompts, const eval::Embedder& embedder,
                                          uint64_t seed) {
  std::set<std::string> seen;
  std::erase_if(prompts, [&](const nn::Prompt& prompt) { return !seen.insert(embedder.key(prompt)).second; });
  const auto count = static_cast<int64_t>(prompts.size());
  if (count <= kClusteredPrompts) return prompts;
  std::vector<int64_t> drawn = permutation({seed, stream_id("clustered prompts"), 0}, count);
  drawn.resize(static_cast<size_t>(kClusteredPrompts));
  std::sort(drawn.begin(), drawn.end());
  std::vector<nn::Prompt> some;
  for (const int64_t i : drawn) some.push_back(std::move(prompts[static_cast<size_t>(i)]));
  return some;
}

std::vector<std::string> questions(const std::vector<nn::Prompt>& prompts) {
  std::vector<std::string> texts;
  for (const nn::Prompt& prompt : prompts) texts.push_back(prompt.facts.question);
  return texts;
}

std::unique_ptr<eval::ClusterReader> make_cluster_reader(const models::CausalLm& model, Trainable& trainable,
                                                         const std::vector<data::Example>& examples,
                                                         const eval::EmbedderChoice& choice,
                                                         const std::filesystem::path& file, uint64_t seed,
                                                         Warnings& warnings, const std::function<void()>& poll) {
  const std::vector<int64_t> counts = trainable.sequence_needs().clusters;
  const auto on_base = [&trainable](const std::function<void()>& body) { trainable.without(body); };
  if (!file.empty()) {
    eval::Clusters clusters = eval::load_clusters(file);
    auto embedder = eval::embedder_of(clusters, choice, &model, on_base, file.string(), warnings);
    eval::check_clusters(clusters, counts, *embedder, file.string());
    return std::make_unique<eval::ClusterReader>(std::move(embedder), std::move(clusters), model.device());
  }
  auto embedder = eval::make_embedder(choice, &model, on_base, warnings);
  const std::vector<nn::Prompt> prompts = clustered_prompts(prompts_of(examples), *embedder, seed);
  std::vector<at::Tensor> embeddings;
  for (const nn::Prompt& prompt : prompts) {
    poll();
    embeddings.push_back(embedder->embed(prompt));
  }
  if (static_cast<int64_t>(prompts.size()) < counts.back())
    warnings.add("clusters.few_prompts",
                 fmt::format("[clusters] {} different prompts leave some of {} clusters empty. Hint: more data, or a "
                             "smaller rank_allocation",
                             prompts.size(), counts.back()));
  eval::ClusterOptions options;
  options.counts = counts;
  options.seed = seed;
  eval::Clusters clusters =
      eval::make_clusters(at::stack(embeddings, 0), questions(prompts), embedder->identity(), options);
  auto reader = std::make_unique<eval::ClusterReader>(std::move(embedder), std::move(clusters), model.device());
  for (size_t i = 0; i < prompts.size(); ++i) reader->remember(prompts[i], embeddings[i]);
  return reader;
}

}  // namespace morex::train
