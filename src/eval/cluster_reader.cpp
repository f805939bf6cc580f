#include "eval/cluster_reader.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/stack.h>

#include <span>

#include "base/checksum.h"
#include "eval/prompt_embedding.h"

namespace morex::eval {
namespace {

std::string name_of(const std::vector<int64_t>& prompt) { return sha256_hex(std::as_bytes(std::span(prompt))); }

}  // namespace

ClusterReader::ClusterReader(const models::CausalLm& model, Clusters clusters, OnBase on_base)
    : model_(model), clusters_(std::move(clusters)), on_base_(std::move(on_base)) {}

void ClusterReader::remember(const std::vector<int64_t>& prompt, const at::Tensor& embedding) const {
  known_.try_emplace(name_of(prompt), cluster_scores(clusters_, embedding));
}

void ClusterReader::read(const std::vector<std::vector<int64_t>>& prompts, nn::BatchContext& ctx) const {
  const at::NoGradGuard no_gradients;
  std::vector<std::string> names;
  std::map<std::string, const std::vector<int64_t>*> unseen;
  for (const std::vector<int64_t>& prompt : prompts) {
    names.push_back(name_of(prompt));
    if (!known_.contains(names.back())) unseen.emplace(names.back(), &prompt);
  }
  if (!unseen.empty())
    on_base_([&] {
      for (const auto& [name, prompt] : unseen) known_[name] = cluster_scores(clusters_, embed_prompt(model_, *prompt));
    });
  for (size_t s = 0; s < clusters_.sets.size(); ++s) {
    std::vector<at::Tensor> rows;
    for (const std::string& name : names) rows.push_back(known_.at(name)[s]);
    const std::string suffix =
        clusters_.sets.size() == 1 ? "" : "." + std::to_string(clusters_.sets[s].centroids.size(0));
    ctx.per_sequence["cluster_scores" + suffix] = at::stack(rows, 0).to(model_.device());  // [B, K]
  }
}

}  // namespace morex::eval
