#include "eval/cluster_reader.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/stack.h>

namespace morex::eval {

ClusterReader::ClusterReader(std::unique_ptr<const Embedder> embedder, Clusters clusters, at::Device device)
    : embedder_(std::move(embedder)), clusters_(std::move(clusters)), device_(device) {}

void ClusterReader::remember(const nn::Prompt& prompt, const at::Tensor& embedding) const {
  known_.try_emplace(embedder_->key(prompt), cluster_scores(clusters_, embedding));
}

void ClusterReader::read(const std::vector<nn::Prompt>& prompts, nn::BatchContext& ctx) const {
  const at::NoGradGuard no_gradients;
  std::vector<const std::vector<at::Tensor>*> each;
  for (const nn::Prompt& prompt : prompts) {
    auto found = known_.find(embedder_->key(prompt));
    if (found == known_.end())
      found = known_.emplace(embedder_->key(prompt), cluster_scores(clusters_, embedder_->embed(prompt))).first;
    each.push_back(&found->second);
  }
  for (size_t s = 0; s < clusters_.sets.size(); ++s) {
    std::vector<at::Tensor> rows;
    for (const std::vector<at::Tensor>* scores : each) rows.push_back((*scores)[s]);
    const std::string suffix =
        clusters_.sets.size() == 1 ? "" : "." + std::to_string(clusters_.sets[s].centroids.size(0));
    ctx.per_sequence["cluster_scores" + suffix] = at::stack(rows, 0).to(device_);  // [B, K]
  }
}

}  // namespace morex::eval
