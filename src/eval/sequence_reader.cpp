#include "eval/sequence_reader.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/tensor.h>

#include <algorithm>

#include "base/error.h"

namespace morex::eval {

SequenceReader::SequenceReader(nn::SequenceNeeds needs, std::unique_ptr<const ClusterReader> clusters,
                               at::Device device)
    : needs_(std::move(needs)), clusters_(std::move(clusters)), device_(device) {
  MOREX_ASSERT(needs_.clusters.empty() == (clusters_ == nullptr));
}

void SequenceReader::read(const std::vector<nn::Prompt>& prompts, nn::BatchContext& ctx) const {
  if (clusters_ != nullptr) clusters_->read(prompts, ctx);
  if (needs_.tasks) {
    std::vector<int64_t> ids;
    for (const nn::Prompt& prompt : prompts) {
      const int64_t row = prompt.facts.row;
      const std::string where = row < 0 ? "--task" : fmt::format("row {} of the data, without --task", row + 1);
      ids.push_back(needs_.tasks->id_of(prompt.facts.task, where, ErrorKind::kData));
    }
    ctx.per_sequence["task_ids"] = at::tensor(ids, at::kLong).to(device_);  // [B]
  }
  const bool typed = std::all_of(prompts.begin(), prompts.end(),
                                 [](const nn::Prompt& prompt) { return prompt.facts.sample_type >= 0; });
  if (!needs_.sample_types || !typed) return;
  std::vector<int64_t> types;
  for (const nn::Prompt& prompt : prompts) types.push_back(prompt.facts.sample_type);
  ctx.per_sequence["sample_types"] = at::tensor(types, at::kLong).to(device_);  // [B]
}

}  // namespace morex::eval
