// What the decoder families share: embedding, attention, head and loss. A family adds its layers and hidden().
#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <string>
#include <vector>

#include "models/causal_lm.h"
#include "models/rope.h"
#include "models/weight_source.h"
#include "ops/add_rms_norm.h"
#include "ops/attention.h"

namespace morex::models {

class DecoderLm : public CausalLm {
 public:
  at::Tensor logits(const at::Tensor& h, const nn::BatchContext& ctx, nn::RoutingReport& report) const override;
  at::Tensor loss_sum(const at::Tensor& h, const at::Tensor& targets, const nn::BatchContext& ctx,
                      nn::RoutingReport& report) const override;

 protected:
  DecoderLm(const ModelConfig& config, const LoadOptions& options);

  // Building. `module` is the Hugging Face path; weights are MODULE.weight and MODULE.bias. Linear weights of a layer
  // are taken in eight bits where the load says so.
  static nn::LinearMember take_linear(WeightSource& weights, const std::string& module, Dim out, Dim in, bool bias);
  static nn::Mlp take_gated_mlp(WeightSource& weights, const ModelConfig& config, int64_t layer,
                                const std::string& module);
  // A file of a tied model may hold the one tensor under the head's name.
  void take_embedding(WeightSource& weights, const std::string& module, const std::string& head_module);
  void take_head(WeightSource& weights, const std::string& module);  // after take_embedding; tied: shares its weight

  // Registering slots and named weights, once their places in memory are final, in the order of the forward pass.
  void add(nn::Embedding& embedding);
  void add(nn::LinearGroup& group);
  void add(nn::Mlp& mlp);
  void add(const std::string& name, at::Tensor& weight);
  void add_head();  // a tied head has a slot, but no named weight of its own

  // What all layers of one call share.
  struct Call {
    int64_t batch = 0, length = 0;
    at::Tensor places;  // as in the context
    RopeTables::CosSin rope;
    ops::AttentionKind attention;
  };
  // Checks the shapes of ids and context against each other and against the cache.
  Call begin(const at::Tensor& ids, const nn::BatchContext& ctx, const nn::KvCache* cache) const;
  // ids [B, L] -> [T, D]. Throws Error(kData) for an id outside the vocabulary. Grad: the embedding when trainable;
  // rows of pad_token_id get none from here, as in Hugging Face (a tied head still gives them its share).
  at::Tensor embed(const at::Tensor& ids, const nn::BatchContext& ctx) const;
  // q [T, H·K], k and v [T, Hk·K] -> [T, H·K]: rotation, cache, softmax attention.
  at::Tensor attend(const Call& call, int64_t layer, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                    nn::KvCache* cache) const;

  // A decoder layer as a function of what goes from layer to layer. It leaves its sites' gates in the report.
  using LayerFunction = std::function<ops::StreamAndNorm(ops::StreamAndNorm, nn::RoutingReport&)>;
  // What `layer` makes of x, with a graph that keeps x only: the layer runs again in the backward pass, so it must own
  // all that it captures.
  static ops::StreamAndNorm recomputed(ops::StreamAndNorm x, nn::RoutingReport& report, const LayerFunction& layer);

 private:
  const nn::LinearGroup& head() const;

  nn::Embedding embedding_;
  // A tied head follows the embedding when another tensor is put there: logits() brings it up to date.
  mutable nn::LinearGroup head_;
  mutable at::Tensor tied_to_;  // the embedding the head last took; undefined when untied
  RopeTables rope_;
};

}  // namespace morex::models
