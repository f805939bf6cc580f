// Which keys are hidden from which queries, as tensors.
#pragma once
#include <ATen/core/Tensor.h>

#include "ops/attention.h"

namespace morex::ops {

class AttentionMask {
 public:
  // For `length` queries at the end of `keys` positions.
  AttentionMask(const AttentionKind& kind, int64_t length, int64_t keys, at::Device device);

  // [L, S] bool of sequence b, true = hidden; undefined when every query sees every key.
  at::Tensor hidden(int64_t b) const;

 private:
  AttentionKind kind_;
  int64_t length_, keys_;
  at::Tensor by_position_;  // [L, S] bool: causality and window; may be undefined
};

}  // namespace morex::ops
