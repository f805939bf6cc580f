// Masks of the attention tests, moved to where the queries are.
#pragma once
#include <ATen/core/Tensor.h>

#include "ops/attention.h"

namespace morex::test {

inline ops::AttentionKind on(ops::AttentionKind kind, at::Device device) {
  if (kind.key_mask.defined()) kind.key_mask = kind.key_mask.to(device);
  if (kind.segments.defined()) kind.segments = kind.segments.to(device);
  return kind;
}

}  // namespace morex::test
