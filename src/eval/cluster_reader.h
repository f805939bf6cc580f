// Puts every sequence's cluster scores where the prior looks for them.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "eval/clusters.h"
#include "eval/embedder.h"
#include "nn/prompt_reader.h"

namespace morex::eval {

class ClusterReader : public nn::PromptReader {
 public:
  // Scores are put on `device`.
  ClusterReader(std::unique_ptr<const Embedder> embedder, Clusters clusters, at::Device device);

  // DEVIATION: the official code rounds the scores to float16 in training only.
  // ctx.per_sequence["cluster_scores"] [B, K] float32; with sets for several K "cluster_scores.K" each. A prompt seen
  // before is not embedded again.
  void read(const std::vector<nn::Prompt>& prompts, nn::BatchContext& ctx) const override;
  // What the embedder gave for this prompt.
  void remember(const nn::Prompt& prompt, const at::Tensor& embedding) const;

  const Clusters& clusters() const { return clusters_; }

 private:
  std::unique_ptr<const Embedder> embedder_;
  Clusters clusters_;
  at::Device device_;
  mutable std::map<std::string, std::vector<at::Tensor>> known_;  // by the embedder's key: scores of each set
};

}  // namespace morex::eval
