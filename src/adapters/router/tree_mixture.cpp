#include "adapters/router/tree_mixture.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/clamp_min.h>
#include <ATen/ops/log.h>

#include "base/error.h"
#include "ops/top_k.h"

namespace morex::adapters {
namespace {

// The switch gate as a choice: the f largest, divided by their sum where f > 1.
Chosen switch_choice(const at::Tensor& pi, int64_t active) {
  const ops::TopK top = ops::top_k(pi, active, /*shares=*/active > 1);
  Chosen chosen;
  chosen.ids = top.ids;
  chosen.weights = top.values;
  return chosen;
}

}  // namespace

void check_tree_mixture(const MixtureOptions& options, TreeGate gate) {
  using Select = MixtureOptions::Select;
  MOREX_CHECK(
      options.select == Select::kMixThenTopK || (options.select == Select::kTopKMixTopK && gate == TreeGate::kSwitch),
      ErrorKind::kConfig,
      "[router] in a tree every node has a fixed number of children: select must be mix_then_topk, or "
      "topk_mix_topk with gate switch");
}

void mix_tree_logits(const at::Tensor& logits, const at::Tensor& p, const MixtureOptions& options,
                     TreeGateInput& input) {
  const auto log_of = [](const at::Tensor& pi) { return at::log(at::clamp_min(pi, 1e-30)); };
  if (options.select == MixtureOptions::Select::kTopKMixTopK) {
    MixtureOptions cut = options;
    cut.select = MixtureOptions::Select::kTopKThenMix;
    const Mixed mixed =
        mix_routers(logits, p, cut, [&](const at::Tensor& pi) { return switch_choice(pi, input.active); });
    input.logits = log_of(mixed.chosen.weights);
    input.reported = mixed.pi;
  } else if (options.logit) {
    input.logits = (p.unsqueeze(2) * logits).sum(1);
  } else {
    input.logits = log_of(mix_routers(logits, p, options, [](const at::Tensor&) { return Chosen(); }).pi);  // [R, s]
    input.logarithms = true;
  }
}

}  // namespace morex::adapters
