// A prompt as the mean of the model's last hidden states over its tokens.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "eval/embedder.h"
#include "models/causal_lm.h"

namespace morex::eval {

// DEVIATION: T-REX embeds the bare task text with a sentence encoder; here the prompt is what the model itself reads.

// [D] float64 on the CPU, of length 1. Prompts are embedded one at a time, so that a vector does not depend on what
// else is embedded; a prompt longer than the model's positions counts with its end. No gradients. Throws Error(kData)
// for an empty prompt, Error(kNumeric) for a hidden state that is not finite.
at::Tensor embed_prompt(const models::CausalLm& model, const std::vector<int64_t>& ids);

class BaseEmbedder : public Embedder {
 public:
  // Calls its argument while the bare base answers.
  using OnBase = std::function<void(const std::function<void()>&)>;

  // `model` must outlive this.
  BaseEmbedder(const models::CausalLm& model, OnBase on_base);

  const EmbedderIdentity& identity() const override { return identity_; }
  std::string key(const nn::Prompt& prompt) const override;
  at::Tensor embed(const nn::Prompt& prompt) const override;

 private:
  const models::CausalLm& model_;
  OnBase on_base_;
  EmbedderIdentity identity_;
};

}  // namespace morex::eval
