// The k largest of each row, as router gates need them.
#pragma once
#include <ATen/core/Tensor.h>

namespace morex::ops {

struct TopK {
  at::Tensor ids;     // [n, k] int64, by descending value; the lower index first where values are equal
  at::Tensor values;  // [n, k] their values, or their shares of the values' sum, in the dtype of values
};

// values [n, E] float32 or float64, 1 <= k <= E. NaN counts as larger than every number. shares: divide the k values by
// their sum (top-k gates of Mixtral, MoLA, MixLoRA).
// Grad: values, through the chosen ones; the selection is a constant. Saves ids and values, with shares the sums [n].
// Error: 2 ulp. Deterministic.
TopK top_k(const at::Tensor& values, int64_t k, bool shares = false);

}  // namespace morex::ops
