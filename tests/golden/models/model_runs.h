// Running a model the way the reference values were made.
#pragma once
#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "models/causal_lm.h"

namespace morex::test {

// A context for ids [B, L]; mask and positions [B, L] may be undefined.
nn::BatchContext context_for(const at::Tensor& ids, const at::Tensor& mask = {}, const at::Tensor& positions = {},
                             bool right_padded = true);

// ids [B, L] on the model's device -> logits [B, L, V].
at::Tensor all_logits(const models::CausalLm& model, const at::Tensor& ids, const nn::BatchContext& ctx);
// One unpadded sequence -> [L, V].
at::Tensor all_logits(const models::CausalLm& model, const std::vector<int64_t>& ids);

// Mean next-token loss over targets that are not -100. ids, labels [B, L].
at::Tensor mean_loss(const models::CausalLm& model, const at::Tensor& ids, const at::Tensor& labels,
                     const nn::BatchContext& ctx);

// Greedy continuation of one prompt, with or without a cache; stops after `eos` (-1: never) or `count` ids.
std::vector<int64_t> greedy(const models::CausalLm& model, const std::vector<int64_t>& prompt, int64_t count,
                            bool with_cache, int64_t eos = -1);

// Every weight as a trainable leaf in the model's place, in weights() order.
std::vector<at::Tensor> make_trainable(models::CausalLm& model);

// Whether this build has the family of a folder's config.json; if not, prints
// "SKIPPED unsupported: NAME".
bool supported_family(const std::filesystem::path& folder);

}  // namespace morex::test
