// The small middle of a routed adapter. A wide one is one autograd node: it saves its inputs only and runs the middle
// again, chunk by chunk, in the backward pass, so that nothing of the size of tokens x nodes x width outlives a chunk.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace morex::adapters {

struct MixResult {
  at::Tensor z;                  // [rows, …]
  std::vector<at::Tensor> sums;  // over the rows given
};

// rows: slices [n, …] of the row inputs, the first of which is row `first`; shared: whole tensors. `recording` is true
// in the forward pass only. Pure otherwise, and the number of sums is always the same.
using MixBody = std::function<MixResult(const std::vector<at::Tensor>& rows, const std::vector<at::Tensor>& shared,
                                        int64_t first, bool recording)>;

// Runs `body` over rows in chunks of `chunk` and joins the results: z is concatenated, sums are added in order.
// Grad: rows, shared. Saves both (handles), nothing else; with `keep` what the body's own operations save.
MixResult run_mix(std::shared_ptr<const MixBody> body, const std::vector<at::Tensor>& rows,
                  const std::vector<at::Tensor>& shared, int64_t chunk, bool keep);

}  // namespace morex::adapters
