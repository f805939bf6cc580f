// A prompt as one vector: the mean of the model's last hidden states over its tokens.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "models/causal_lm.h"

namespace morex::eval {

// DEVIATION: T-REX embeds the bare task text with a sentence encoder; here the prompt is what the model itself reads.

// What a file of centroids says of where its vectors come from.
inline constexpr const char* kBaseEmbedder = "base: mean of the last hidden states";

// [D] float64 on the CPU, of length 1. Prompts are embedded one at a time, so that a vector does not depend on what
// else is embedded; a prompt longer than the model's positions counts with its end. No gradients. Throws Error(kData)
// for an empty prompt, Error(kNumeric) for a hidden state that is not finite.
at::Tensor embed_prompt(const models::CausalLm& model, const std::vector<int64_t>& ids);

// x / |x| along the last dimension; 0 where |x| is 0.
at::Tensor unit_length(const at::Tensor& x);

}  // namespace morex::eval
