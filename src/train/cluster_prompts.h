// The centroids of a run, and the reader that turns prompts into scores with them.
#pragma once
#include <filesystem>
#include <functional>
#include <memory>
#include <vector>

#include "base/warnings.h"
#include "data/example.h"
#include "eval/cluster_reader.h"
#include "models/causal_lm.h"
#include "train/trainable.h"

namespace morex::train {

// Prompts from which centroids are made: more do not move them much, and each costs a forward pass.
inline constexpr int64_t kClusteredPrompts = 2048;

// The prompts of `examples` from which centroids are made: all distinct ones, or kClusteredPrompts drawn from them by
// `seed`. Throws Error(kData) when an example has no prompt.
struct ClusteredPrompts {
  std::vector<std::vector<int64_t>> ids;
  std::vector<std::string> texts;
};
ClusteredPrompts clustered_prompts(const std::vector<data::Example>& examples, uint64_t seed);

// Centroids for the method's gates from `file`, or where that is empty from the examples' prompts by the bare base;
// fewer prompts than clusters are a warning. `poll` is called often and may throw to stop. All that is given must
// outlive the reader. Throws Error(kFormat) for a file that does not fit.
std::unique_ptr<eval::ClusterReader> make_cluster_reader(const models::CausalLm& model, Trainable& trainable,
                                                         const std::vector<data::Example>& examples,
                                                         const std::filesystem::path& file, uint64_t seed,
                                                         Warnings& warnings, const std::function<void()>& poll);

}  // namespace morex::train
