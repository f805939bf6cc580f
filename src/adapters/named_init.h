// Tensors of adapters as they start, and how they are optimised.
#pragma once
#include <cstdint>
#include <vector>

#include "adapters/site.h"
#include "nn/parameter_store.h"

namespace morex::adapters {

struct NamedInit {
  nn::NamedView view;
  Init init;
};

// Fills every tensor, each from the random stream named after it.
void fill_initial(const nn::ParameterStore& store, const std::vector<NamedInit>& tensors, uint64_t seed);

// LoRA+ (Hayou et al., arXiv 2402.12354) as PEFT applies it: the learning rate of tensors named lora_B and of those
// with one dimension is `lora_plus` times the others'.
nn::LeafOptions leaf_options(const TensorSpec& spec, double lora_plus);

// [T] 1 = real token in `dtype`; undefined when all are. With a cache the context's mask may cover earlier positions.
at::Tensor token_mask(const nn::BatchContext& ctx, at::ScalarType dtype);

}  // namespace morex::adapters
