// Mixture of Routers at one level of a tree: the sub-routers' scores of the level's keys become one.
#pragma once
#include <ATen/core/Tensor.h>

#include <optional>

#include "adapters/router.h"
#include "adapters/router/mixed_routers.h"
#include "adapters/router/tree_gates.h"

namespace morex::adapters {

// Throws Error(kConfig) for a mixture without a fixed number of experts per node: topk_then_mix, or topk_mix_topk with
// another gate than switch.
void check_tree_mixture(const MixtureOptions& options, TreeGate gate);

// logits [R, N, s] of the sub-routers and their weights p [R, N] -> input.logits [R, s], and what the balance loss
// reads where that is something else. Mixed probabilities stand there as logarithms. `input` has kind and active set.
void mix_tree_logits(const at::Tensor& logits, const at::Tensor& p, const MixtureOptions& options,
                     TreeGateInput& input);

// tree_keys with `mixture` at every level; `from` holds the options of tree_keys. Throws Error(kConfig).
std::unique_ptr<Router> make_tree_keys_mixture(const MakeRouter& from, std::optional<MixtureOptions> mixture);

}  // namespace morex::adapters
