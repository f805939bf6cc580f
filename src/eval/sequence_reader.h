// Puts all that an adapter must know of a sequence into the context.
#pragma once
#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "eval/cluster_reader.h"
#include "nn/prompt_reader.h"
#include "nn/sequence_needs.h"

namespace morex::eval {

class SequenceReader : public nn::PromptReader {
 public:
  // `clusters` may be null where the needs name none.
  SequenceReader(nn::SequenceNeeds needs, std::unique_ptr<const ClusterReader> clusters, at::Device device);

  // ctx.per_sequence, int64 on the device: "task_ids" [B], "sample_types" [B] where every prompt has one (they are
  // needed in training alone), and what ClusterReader adds. Throws Error(kData) for a prompt without a known task.
  void read(const std::vector<nn::Prompt>& prompts, nn::BatchContext& ctx) const override;

  const ClusterReader* clusters() const { return clusters_.get(); }

 private:
  nn::SequenceNeeds needs_;
  std::unique_ptr<const ClusterReader> clusters_;
  at::Device device_;
};

}  // namespace morex::eval
