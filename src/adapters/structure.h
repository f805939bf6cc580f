// First axis: what an expert is. A structure owns rows of the stacked down and up matrices, small tensors of its own,
// and the per-token map between the two products.
#pragma once
#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "adapters/gates.h"
#include "adapters/site.h"
#include "base/error.h"
#include "base/json.h"
#include "base/warnings.h"
#include "nn/slots.h"

namespace morex::adapters {

// Forward cost per token, multiply-add = 2; parameters one token uses (routers excluded).
struct StructureCost {
  int64_t active_parameters = 0;
  double flops = 0;         // as executed: every expert's down rows
  double sparse_flops = 0;  // only the chosen experts
};

// The tensors of one site, detached: down [R, d_in], up [R', d_out], up_bias [d_out] or undefined, own as in mix().
struct SiteTensors {
  at::Tensor down, up, up_bias{};
  std::vector<at::Tensor> own;
};

class Structure {
 public:
  virtual ~Structure() = default;

  virtual GateShape gates() const { return {}; }  // what mix() needs
  virtual int64_t down_rows() const = 0;          // R
  virtual int64_t up_rows() const = 0;            // R'
  virtual const std::vector<TensorSpec>& tensors() const = 0;

  // h [T, R] -> z [T, R'], plain ATen with autograd over small tensors, in the dtype of the adapter's tensors. `own` is
  // indexed like tensors(); only kOwn entries are defined. Runs on chunks of tokens, and again in the backward pass.
  virtual at::Tensor mix(const at::Tensor& h, const Gates& gates, const std::vector<at::Tensor>& own,
                         const TokenRows& rows) const = 0;
  // Whether mix() takes h in the activations' dtype, and rounds to it once.
  virtual bool mixes_activations() const { return false; }
  // Flat experts that are blocks of down and up rows, z = mix(h) = w ⊗ h with one weight each, may be computed one
  // after another on the tokens that chose them. Whether that is done for x [T, d_in], and the weights [T, E], zero
  // where not chosen.
  virtual bool gathers(const at::Tensor& /*x*/) const { return false; }
  virtual at::Tensor expert_weights(const Gates& /*gates*/) const { return {}; }
  // Whether z is a linear map of h while the gates do not change.
  virtual bool linear_for_fixed_gates() const { return false; }
  // Elements per token of the largest tensor mix() makes: sets the size of a chunk.
  virtual int64_t mix_width() const { return up_rows(); }
  // Whether base output plus update are multiplied by a factor per output, and that factor [d_out]. `own` of `tensors`
  // is not detached here: gradients flow to it alone. `recorder` (details wanted) may be null.
  virtual bool scales_output() const { return false; }
  virtual at::Tensor output_scale(const SiteTensors& /*tensors*/, const nn::LinearMember& /*base*/,
                                  Recorder* /*recorder*/) const {
    return {};
  }
  // Whether another weight stands in the base's place while the adapter is attached, and that weight, in the base's
  // dtype and storage order, from the tensors as they start.
  virtual bool moves_base() const { return false; }
  virtual at::Tensor moved_base(const SiteTensors& /*start*/, const nn::LinearMember& /*base*/) const { return {}; }

  // Inner products of the updates of a level's experts, [E, E] (pairs: of all pairs); undefined: it has no experts.
  virtual at::Tensor expert_products(const SiteTensors& /*tensors*/, int64_t /*level*/) const { return {}; }

  virtual double dropout() const { return 0.0; }  // on the input of the down rows; the router never sees it
  virtual StructureCost cost(const Site& site) const = 0;
  // "" when the update is one matrix, else the reason it is not.
  virtual std::string why_not_mergeable() const = 0;
  // [d_out, d_in] update in the dtype of its factors; `base` holds the weight it is added to. Asked only of a structure
  // that is mergeable.
  virtual at::Tensor merged_update(const SiteTensors& /*tensors*/, const nn::LinearMember& /*base*/) const {
    fail(ErrorKind::kConfig, "[merge] {}", why_not_mergeable());
  }
};

class LoraSources;

// Everything a member of an axis is made from.
struct MakeStructure {
  const Json& options;  // the recipe's `experts`, kind included
  const Site& site;
  bool dense_router = false;
  Warnings& warnings;
  int64_t picks = 0;                             // flat routers: experts each token gets; 0: all, or the token decides
  const nn::LinearMember* base = nullptr;        // outlives the structure; its weight may be on the meta device
  std::shared_ptr<LoraSources> start = nullptr;  // LoRA adapters that the experts start from
};

class BlockAdapter;  // block_adapter.h
struct MakeBlock;

// One line per structure: structure/table.h. `make` for those that adapt projections, `make_block` for those that take
// the place of feed-forward blocks; both throw Error(kConfig).
struct StructureKind {
  std::string_view name;
  std::unique_ptr<Structure> (*make)(const MakeStructure& from);
  std::unique_ptr<BlockAdapter> (*make_block)(const MakeBlock& from) = nullptr;
};
const StructureKind& find_structure(const std::string& name, const std::string& where);

}  // namespace morex::adapters
