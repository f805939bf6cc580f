// Greedy generation for many prompts in lockstep: each step reads the weights once for all of them.
#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "models/causal_lm.h"

namespace morex::eval {

struct BatchGenerationOptions {
  int64_t max_new_tokens = 64;
  std::vector<int64_t> stop_ids;    // besides the model's own end ids
  int64_t tokens_per_batch = 8192;  // room of one batch: rows x (longest prompt + new tokens)
  int64_t pad_id = 0;
};

// The new ids of each prompt, in the prompts' order, the end id included when one came. Prompts are sorted by length
// and left-padded within a batch; ties of the argmax: the lowest id. Rows of a batch do not see each other: the result
// is that of generate() up to the rounding of batched products. No gradients. progress(done, total) in prompts.
// Throws Error(kData) when a prompt is empty or does not fit the model's positions.
std::vector<std::vector<int64_t>> generate_batch(const models::CausalLm& model, const std::vector<nn::Prompt>& prompts,
                                                 const BatchGenerationOptions& options,
                                                 const std::function<void(int64_t, int64_t)>& progress = {});

}  // namespace morex::eval
