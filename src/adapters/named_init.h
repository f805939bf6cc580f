// Tensors of adapters as they start.
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

// [T] 1 = real token in `dtype`; undefined when all are. With a cache the context's mask may cover earlier positions.
at::Tensor token_mask(const nn::BatchContext& ctx, at::ScalarType dtype);

}  // namespace morex::adapters
