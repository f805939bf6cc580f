// Where adapters and models meet, and the only place. A model family is built from slots; an adapter attaches to them
// and knows nothing of the family.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "nn/batch_context.h"
#include "nn/routing_report.h"
#include "ops/activation.h"
#include "ops/frozen_linear.h"

namespace morex::nn {

// A weight of a linear map, by handle. `value` is [out, in], or [in, out] when `transposed` (GPT-2's Conv1D). It may be
// a row range of a fused weight (a view). Frozen: requires_grad is false. Trainable (method: full): a leaf, possibly of
// a wider dtype than the activations; the op casts it. In eight bits (load_in_8bit): `value` holds the integers and
// `scales` those of their blocks (ops/int8_blocks.h), never transposed; whoever needs numbers asks rows().
struct LinearWeight {
  at::Tensor value;
  bool transposed = false;
  at::Tensor scales = {};  // undefined: the weight is not in eight bits
  int64_t out_features() const { return value.size(transposed ? 1 : 0); }
  int64_t in_features() const { return value.size(transposed ? 0 : 1); }
  bool in_8bit() const { return scales.defined(); }

  ops::MapWeight map() const { return {value, transposed, scales}; }
  // The rows first … first + count - 1 of the [out, in] matrix in `dtype`: a view where nothing must be converted.
  at::Tensor rows(int64_t first, int64_t count, at::ScalarType dtype) const;
};

// One projection. `module` is its Hugging Face path ("model.layers.0.self_attn.q_proj"): names in adapter files.
struct LinearMember {
  std::string module;
  LinearWeight weight;
  at::Tensor bias;  // [out], may be undefined
};

// What the members of a group give for x: base products, formed with what an adapter adds to them.
class GroupOutputs {
 public:
  // x [T, in]; `members` must outlive it.
  GroupOutputs(at::Tensor x, const std::vector<LinearMember>& members);
  // Outputs that are formed already, to see what an adapter adds to them.
  explicit GroupOutputs(std::vector<at::Tensor> formed);

  // Adds z·b (+ bias) to the output of a member.
  void add(size_t member, const ops::LowRankTerm& term);
  // [T, out], the base product without bias and what was added so far: for an adapter that needs the numbers. It may be
  // changed in place (it is not saved by anybody), or replaced.
  at::Tensor& formed(size_t member);
  // All of them; the products that are not formed yet in one node.
  std::vector<at::Tensor> take();
  size_t size() const { return y_.size(); }

 private:
  void form(const std::vector<size_t>& members);

  at::Tensor x_;
  const std::vector<LinearMember>* members_ = nullptr;
  std::vector<ops::LowRankTerm> terms_;  // not formed yet, of each member
  std::vector<at::Tensor> y_;
};

// What an adapter does to a group of projections that read the same input.
class GroupAdapter {
 public:
  virtual ~GroupAdapter() = default;
  // x [T, in], read by all. Gradients: to x, to the adapter's leaves, and through y.
  virtual void apply(const at::Tensor& x, GroupOutputs& y, const BatchContext& ctx, RoutingReport& report) const = 0;
  // Whether what a token gets depends on the other tokens of its sequence.
  virtual bool reads_other_tokens() const { return false; }
};

// The projections that read the same input: q,k,v · o · gate,up · down · lm_head.
struct LinearGroup {
  int64_t layer = -1;  // decoder layer, -1 outside of them
  std::vector<LinearMember> members;
  const GroupAdapter* adapter = nullptr;  // null: the bare base, bit for bit

  // x [T, in] -> one [T, out_i] per member: base product, adapter, bias.
  std::vector<at::Tensor> forward(const at::Tensor& x, const BatchContext& ctx, RoutingReport& report) const;
};

// The gated feed-forward block as a whole, for methods whose gate multiplies after the non-linearity (MixLoRA).
struct Mlp;
class MlpAdapter {
 public:
  virtual ~MlpAdapter() = default;
  // x [T, D] -> the block's output [T, D], replacing Mlp::forward_base.
  virtual at::Tensor apply(const Mlp& mlp, const at::Tensor& x, const BatchContext& ctx,
                           RoutingReport& report) const = 0;
  virtual bool reads_other_tokens() const { return false; }  // as in GroupAdapter
};

using ops::Activation;

struct Mlp {
  int64_t layer = 0;
  std::string module;   // "model.layers.0.mlp"
  LinearGroup gate_up;  // members gate_proj, up_proj
  LinearGroup down;     // member down_proj
  Activation activation = Activation::kSilu;
  const MlpAdapter* adapter = nullptr;

  at::Tensor forward(const at::Tensor& x, const BatchContext& ctx, RoutingReport& report) const;
  at::Tensor forward_base(const at::Tensor& x, const BatchContext& ctx, RoutingReport& report) const;
};

// A gather of rows. weight [V, D].
struct Embedding {
  std::string module;
  at::Tensor weight;
  at::Tensor forward(const at::Tensor& ids) const;  // [N] int64 -> [N, D]
};

// The slots of one model, in the order of the forward pass. Pointers stay valid while the model lives.
struct SlotTable {
  std::vector<LinearGroup*> groups;
  std::vector<Mlp*> mlps;
  std::vector<Embedding*> embeddings;

  // Whether some adapter's update of a token depends on the other tokens of its sequence.
  bool adapters_read_other_tokens() const;
};

}  // namespace morex::nn
