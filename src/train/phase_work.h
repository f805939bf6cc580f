// The phases in which an adapter costs something, as pieces of work to be timed.
#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <string>

#include "adapters/adapter_set.h"
#include "data/batch.h"
#include "models/causal_lm.h"
#include "nn/parameter_store.h"
#include "train/device_batch.h"

namespace morex::train {

// `rows` sequences of `length` ids drawn from the vocabulary, all but the first of each supervised.
data::Batch synthetic_rows(int64_t vocab_size, int64_t rows, int64_t length);
// Everything that any method may ask of a sequence, made up for `rows` of them: the same similarity to each of
// `cluster_counts` clusters, task 0, alternating sample types.
void make_up_facts(nn::BatchContext& ctx, int64_t rows, const std::vector<int64_t>& cluster_counts, at::Device device);
// The batch with such facts.
DeviceBatch with_made_up_facts(const data::Batch& batch, const models::CausalLm& model,
                               const std::vector<int64_t>& cluster_counts, bool keep_padding);
// Both.
DeviceBatch synthetic_batch(const models::CausalLm& model, int64_t rows, int64_t length,
                            const std::vector<int64_t>& cluster_counts);

// Milliseconds of `work`, the device waited for.
double milliseconds(const models::CausalLm& model, const std::function<void()>& work);

using AuxiliaryLoss = std::function<at::Tensor(const nn::RoutingReport&)>;
// Forward and backward pass of a micro-batch; leaves gradients in the store. tally: counts the gates, or null.
void train_pass(const models::CausalLm& model, nn::ParameterStore& store, const AuxiliaryLoss& auxiliary,
                const DeviceBatch& batch, nn::RoutingTally* tally = nullptr);
// Forward pass over the whole batch and the head's logits of the last positions.
void prefill_pass(const models::CausalLm& model, const DeviceBatch& batch);

// Decoding behind `batch`: the cache is filled when this is made; each call runs one token of every sequence.
class DecodeWork {
 public:
  DecodeWork(const models::CausalLm& model, const DeviceBatch& batch);
  void operator()();

 private:
  const models::CausalLm& model_;
  DeviceBatch batch_;
  nn::KvCache cache_;
};

// The projections under the sites of `set`: a feed-forward block stands for its three.
std::vector<const nn::LinearMember*> projections_of(models::CausalLm& model, const adapters::AdapterSet& set);

// LoRA on the same projections, of the rank whose size is nearest.
Json equal_lora_method(models::CausalLm& model, const adapters::AdapterSet& set);

// LoRA of rank 1 on the first projection that `set` adapts: with it the base's backward pass goes as far as with `set`,
// at almost no cost of its own. Not attached. `set` must be detached while it is.
std::unique_ptr<adapters::AdapterSet> least_adapter(models::CausalLm& model, const adapters::AdapterSet& set,
                                                    Warnings& warnings);

// FLOPs of the bare base's forward pass, multiply-add = 2: per token of its decoder layers with `context` positions to
// attend to, and per row of logits.
struct BaseFlops {
  double token = 0, logits = 0;
};
BaseFlops base_flops(models::CausalLm& model, double context);

}  // namespace morex::train
