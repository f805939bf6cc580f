// The centroids of a run, and the reader that turns prompts into scores with them.
#pragma once
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/warnings.h"
#include "data/example.h"
#include "eval/cluster_reader.h"
#include "eval/make_embedder.h"
#include "models/causal_lm.h"
#include "train/trainable.h"

namespace morex::train {

// Prompts from which centroids are made: more do not move them much, and each costs a forward pass.
inline constexpr int64_t kClusteredPrompts = 2048;

// Those of `prompts` from which centroids are made: all that the embedder tells apart, or kClusteredPrompts drawn from
// them by `seed`.
std::vector<nn::Prompt> clustered_prompts(std::vector<nn::Prompt> prompts, const eval::Embedder& embedder,
                                          uint64_t seed);
// What each of them asks.
std::vector<std::string> questions(const std::vector<nn::Prompt>& prompts);
// Throws Error(kData) naming the line of an example without a prompt.
std::vector<nn::Prompt> prompts_of(const std::vector<data::Example>& examples);

// Centroids for the method's gates from `file`, or where that is empty from the examples' prompts by the embedder that
// is chosen; fewer prompts than clusters are a warning. `poll` is called often and may throw to stop. All that is given
// must outlive the reader. Throws Error(kFormat) for a file that does not fit.
std::unique_ptr<eval::ClusterReader> make_cluster_reader(const models::CausalLm& model, Trainable& trainable,
                                                         const std::vector<data::Example>& examples,
                                                         const eval::EmbedderChoice& embedder,
                                                         const std::filesystem::path& file, uint64_t seed,
                                                         Warnings& warnings, const std::function<void()>& poll);

}  // namespace morex::train
