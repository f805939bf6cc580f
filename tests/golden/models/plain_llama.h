// Llama's forward in plain tensor operations, each rounded to the weights' type: the arithmetic of Hugging Face's eager
// code. In bfloat16 it shows how far that arithmetic itself is from the exact values.
#pragma once
#include <ATen/core/Tensor.h>

#include <vector>

#include "models/causal_lm.h"

namespace morex::test {

// One unpadded sequence -> logits [L, V].
at::Tensor plain_llama_logits(models::CausalLm& model, const std::vector<int64_t>& ids);

}  // namespace morex::test
