// Which keys a query sees, for loops over rows of scores, and their softmax.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

#include "ops/attention.h"

namespace morex::ops {

class Visibility {
 public:
  // For `length` queries at the end of `keys` positions, on the CPU.
  Visibility(const AttentionKind& kind, int64_t length, int64_t keys);

  // The range of positions that query i may see at all.
  int64_t begin(int64_t i) const { return window_ > 0 && position(i) >= window_ ? position(i) - window_ + 1 : 0; }
  int64_t end(int64_t i) const { return causal_ ? position(i) + 1 : keys_; }

  // Sets the scores of what else query i of sequence b may not see to -inf; scores[0] is key `from`.
  void hide(int64_t b, int64_t i, float* scores, int64_t from, int64_t to) const;

 private:
  int64_t position(int64_t i) const { return keys_ - length_ + i; }
  bool causal_;
  int64_t window_, length_, keys_;
  at::Tensor key_mask_, segments_;
};

// scores[0 … n-1] become exp(scale·scores - largest), the largest exactly 1; gives their sum and log-sum-exp. Where all
// are hidden: zeros, 0 and +infinity; where one that matters is not a number: NaN.
struct ExpSum {
  float sum, lse;
};
ExpSum exp_visible(float* scores, int64_t n, float scale);

// The same, divided by the sum; returns the log-sum-exp.
float softmax_visible(float* scores, int64_t n, float scale);

}  // namespace morex::ops
