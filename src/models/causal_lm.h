// A decoder-only language model: the slots, and a forward pass that its family writes.
#pragma once
#include <ATen/core/Tensor.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/warnings.h"
#include "models/model_config.h"
#include "nn/batch_context.h"
#include "nn/kv_cache.h"
#include "nn/prompt_reader.h"
#include "nn/routing_report.h"
#include "nn/slots.h"

namespace morex::models {

struct LoadOptions {
  at::ScalarType dtype = at::kFloat;  // of the base's weights and activations: float32, bfloat16, float64
  at::Device device = at::kCPU;
  // The decoder layers' linear weights in blocks of 8-bit integers (ops/int8_blocks.h), made from the stored numbers
  // one tensor at a time; blocks of Q8_0 are taken as they are. Embedding, head, norms and biases stay in `dtype`,
  // which is float32 or bfloat16 then.
  bool load_in_8bit = false;
};

// A weight by its Hugging Face name, for full fine-tuning, merging and inspection. `slot` is where the model keeps it:
// assigning another tensor of the same shape there changes the model. With load_in_8bit the slot of a linear weight
// holds the integers alone: it tells shapes and nothing else.
struct NamedWeight {
  std::string name;
  at::Tensor* slot = nullptr;
};

class CausalLm {
 public:
  virtual ~CausalLm() = default;

  const ModelConfig& config() const { return config_; }
  at::ScalarType dtype() const { return dtype_; }
  at::Device device() const { return device_; }
  bool in_8bit() const { return in_8bit_; }  // LoadOptions::load_in_8bit
  nn::SlotTable& slots() { return slots_; }
  const nn::SlotTable& slots() const { return slots_; }
  std::vector<NamedWeight>& weights() { return weights_; }  // tied weights stand once
  const std::string& digest() const { return digest_; }     // of the files' tensors: names the base in run.json

  // ids [B, L] int64 -> hidden states after the final norm, [B·L, D]. With a cache the keys and values are appended and
  // positions go on from its length; ctx.token_mask of a call that needs it (left padding) then covers all of the
  // cache's positions too, [B, S]. all_hidden, when given, receives the residual stream before every layer (float32 in
  // a bfloat16 model, but for the first) and the final output ([B·L, D] each, layers + 1 of them).
  virtual at::Tensor hidden(const at::Tensor& ids, const nn::BatchContext& ctx, nn::RoutingReport& report,
                            nn::KvCache* cache = nullptr, std::vector<at::Tensor>* all_hidden = nullptr) const = 0;
  // h [N, D] -> logits [N, V], through the head's slot.
  virtual at::Tensor logits(const at::Tensor& h, const nn::BatchContext& ctx, nn::RoutingReport& report) const = 0;
  // Sum over rows of the cross-entropy of logits(h) against targets [N] int64 (float32 accumulation; float64 in
  // float64), formed in chunks without a [N, V] tensor where no adapter sits on the head. Scalar.
  virtual at::Tensor loss_sum(const at::Tensor& h, const at::Tensor& targets, const nn::BatchContext& ctx,
                              nn::RoutingReport& report) const = 0;

  nn::KvCache make_cache(int64_t batch, int64_t capacity) const;

  // Activation checkpointing: the first `count` decoder layers keep nothing for the backward pass but their input and
  // run again in it, with gradients equal to the bit. Parameters get theirs in .grad only. Without a graph, with a
  // cache and where a report keeps details nothing changes.
  void set_recomputed_layers(int64_t count) { recomputed_layers_ = count; }
  int64_t recomputed_layers() const { return recomputed_layers_; }

  // Set where an adapter must know more of a sequence than its ids; not owned, null: nothing is. Whoever makes a
  // context for whole sequences asks wants_prompts() and hands their prompts to read_prompts(), once a sequence.
  void set_prompt_reader(const nn::PromptReader* reader) { prompt_reader_ = reader; }
  bool wants_prompts() const { return prompt_reader_ != nullptr; }
  void read_prompts(const std::vector<nn::Prompt>& prompts, nn::BatchContext& ctx) const {
    if (prompt_reader_ != nullptr) prompt_reader_->read(prompts, ctx);
  }

 protected:
  friend std::unique_ptr<CausalLm> load_model(const std::filesystem::path& path, const LoadOptions& options,
                                              Warnings& warnings);

  ModelConfig config_;
  at::ScalarType dtype_ = at::kFloat;
  at::Device device_ = at::kCPU;
  bool in_8bit_ = false;
  nn::SlotTable slots_;
  std::vector<NamedWeight> weights_;
  std::string digest_;
  const nn::PromptReader* prompt_reader_ = nullptr;
  int64_t recomputed_layers_ = 0;
};

// A Hugging Face folder or a .gguf file, with every check (names, shapes, types, finite numbers). Throws Error(kFormat)
// naming the file and the tensor; what is odd but loadable is a warning.
std::unique_ptr<CausalLm> load_model(const std::filesystem::path& path, const LoadOptions& options, Warnings& warnings);

// Only the configuration (no weights needed): for counts and forecasts.
ModelConfig load_model_config(const std::filesystem::path& path, Warnings& warnings);
// A model of that configuration without weights: slots with their shapes, tensors on the meta device.
std::unique_ptr<CausalLm> make_meta_model(const ModelConfig& config, bool load_in_8bit = false);

}  // namespace morex::models
