#include "train/optimizer.h"

#include <ATen/ops/zeros_like.h>

#include "base/checksum.h"

namespace morex::train {

Optimizer::Optimizer(nn::ParameterStore& store, const Recipe& recipe)
    : store_(store), exp_avg_(at::zeros_like(store.values())), exp_avg_sq_(at::zeros_like(store.values())) {
  options_ = {recipe.learning_rate, recipe.adam_beta1, recipe.adam_beta2, recipe.adam_epsilon, recipe.weight_decay};
  for (const nn::Leaf& leaf : store.leaves())
    for (const nn::Segment& part : leaf.segments)
      segments_.push_back({part.offset, part.size, part.options.lr_factor, part.options.decay, part.options.frozen_from,
                           part.options.frozen_until});
}

void Optimizer::step(double learning_rate, int64_t step) {
  options_.lr = learning_rate;
  ops::flat_adamw(store_.values(), store_.grads(), exp_avg_, exp_avg_sq_, segments_, options_, step);
}

std::string layout_digest(const nn::ParameterStore& store) {
  std::string text;
  for (const nn::Leaf& leaf : store.leaves()) {
    text += fmt::format("{}@{}:", leaf.name, leaf.offset);
    for (const int64_t size : leaf.shape) text += fmt::format("{},", size);
    text += '\n';
  }
  return sha256_hex(text);
}

}  // namespace morex::train
