// How the tensors of a method are trained: learning rates and frozen steps of its three axes, and LoRA+.
#pragma once
#include <array>

#include "adapters/site.h"
#include "base/json.h"
#include "nn/parameter_store.h"

namespace morex::adapters {

enum class Axis { kExperts, kRouter, kPrior };

class TrainingRules {
 public:
  TrainingRules() = default;
  // Reads loraplus_lr_ratio (missing: the preset's), lr_ratios ({experts, router, prior}: factors) and freeze (the same
  // keys: true, or [from, until], until -1 for the end). Throws Error(kConfig): a factor that is not positive, steps
  // that are none, an axis that has nothing to train (`router`, `prior` of kind none).
  TrainingRules(const JsonReader& options, const Json& preset, const Json& router, const Json& prior);

  // Frozen for the whole run unless the recipe says something about the axis.
  void freeze_unless_told(Axis axis);

  // Of weights with two dimensions.
  nn::LeafOptions options(Axis axis) const;
  // LoRA+ (Hayou et al., arXiv 2402.12354) as PEFT applies it: the learning rate of tensors named lora_B and of those
  // with one dimension is loraplus_lr_ratio times the others'.
  nn::LeafOptions options(Axis axis, const TensorSpec& spec) const;

  // Adds the keys that are not at their defaults.
  void write(Json& json) const;

 private:
  struct Rule {
    double lr_ratio = 1.0;
    int64_t frozen_from = 0, frozen_until = 0;
    bool told = false;  // the recipe has a word on freezing it
  };
  const Rule& of(Axis axis) const { return rules_[static_cast<size_t>(axis)]; }
  void read_freeze(const Json& value, const std::string& key, Rule& rule) const;

  double lora_plus_ = 1.0;
  std::array<Rule, 3> rules_;
};

}  // namespace morex::adapters
