// A structure that takes the place of a whole feed-forward block, because its gates multiply after the non-linearity.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "adapters/routing.h"
#include "adapters/structure.h"
#include "adapters/training_rules.h"
#include "nn/parameter_store.h"
#include "nn/slots.h"

namespace morex::adapters {

// The experts' updates of one projection, averaged with the token's gates over their sum: z·b, z [T, k], b [k, f].
struct MeanUpdate {
  at::Tensor z, b;
};

class BlockAdapter : public nn::MlpAdapter {
 public:
  virtual const Site& site() const = 0;  // the block as a map from its input to its output
  // As in BankAdapter.
  virtual void declare(nn::ParameterStore& store) = 0;
  virtual void initialize(uint64_t seed) const = 0;

  virtual int64_t parameter_count() const = 0;
  virtual StructureCost cost() const = 0;
  virtual GateShape gates() const = 0;
  virtual at::Tensor expert_products() const = 0;  // [E, E], as in Structure
  virtual const Router& router() const = 0;
  virtual const Prior& prior() const = 0;
  // Of gate and up projection for the block's input x [T, D]; a token without gates has none. No gradient, no dropout.
  virtual std::array<MeanUpdate, 2> mean_updates(const at::Tensor& x, const nn::BatchContext& ctx) const = 0;
  virtual std::string why_not_mergeable() const = 0;
};

struct MakeBlock {
  const Json& experts;  // the recipe's axes, kinds included
  const Json& router;
  const Json& prior;
  const nn::Mlp& mlp;  // outlives the adapter
  int64_t picks = 0;   // experts each token gets; 0: all, or the token decides
  LossNeeds needs;
  TrainingRules rules;
  std::shared_ptr<LoraSources> start;  // LoRA adapters that the experts start from; null: none
  Warnings& warnings;
};

}  // namespace morex::adapters
