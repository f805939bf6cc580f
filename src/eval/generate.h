// Greedy and sampled generation with a KV cache.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "models/causal_lm.h"
#include "text/tokenizer.h"

namespace morex::eval {

struct GenerationOptions {
  int64_t max_new_tokens = 128;
  double temperature = 0.0;  // 0: greedy (ties: the lowest id)
  int64_t top_k = 0;         // 0: all
  double top_p = 1.0;
  double repetition_penalty = 1.0;
  uint64_t seed = 0;              // the draw at position n is a function of (seed, n)
  std::vector<int64_t> stop_ids;  // besides the model's own end ids
  std::vector<std::string> stop_strings;
};

struct Generated {
  std::vector<int64_t> ids;       // new ids, the end id included when one came
  std::vector<double> log_probs;  // of each new id, under the untempered model
  std::string text;               // decoded, special tokens skipped, cut at a stop string
  std::string finish;             // "stop" or "length"
};

// Throws Error(kData) when the prompt does not fit the model's positions. on_text streams the text as it comes.
Generated generate(const models::CausalLm& model, const text::Tokenizer* tokenizer, const nn::Prompt& prompt,
                   const GenerationOptions& options, const std::function<void(const std::string&)>& on_text = {});

}  // namespace morex::eval
