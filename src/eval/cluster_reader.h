// Puts every sequence's cluster scores where the prior looks for them.
#pragma once
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "eval/clusters.h"
#include "models/causal_lm.h"
#include "nn/prompt_reader.h"

namespace morex::eval {

class ClusterReader : public nn::PromptReader {
 public:
  // Calls its argument while the bare base answers.
  using OnBase = std::function<void(const std::function<void()>&)>;

  // `model` must outlive this; prompts are embedded by it, on the bare base.
  ClusterReader(const models::CausalLm& model, Clusters clusters, OnBase on_base);

  // DEVIATION: the official code rounds the scores to float16 in training only.
  // ctx.per_sequence["cluster_scores"] [B, K] float32; with sets for several K "cluster_scores.K" each. A prompt seen
  // before is not embedded again.
  void read(const std::vector<std::vector<int64_t>>& prompts, nn::BatchContext& ctx) const override;
  // What embed_prompt gave for this prompt on the bare base.
  void remember(const std::vector<int64_t>& prompt, const at::Tensor& embedding) const;

  const Clusters& clusters() const { return clusters_; }

 private:
  const models::CausalLm& model_;
  Clusters clusters_;
  OnBase on_base_;
  mutable std::map<std::string, std::vector<at::Tensor>> known_;  // by digest of the ids: scores of each set
};

}  // namespace morex::eval
