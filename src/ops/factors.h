// A product that is not formed yet.
#pragma once
#include <ATen/core/Tensor.h>

namespace morex::ops {

// a·b, a [T, K], b [K, N].
struct Factors {
  at::Tensor a, b;
};

}  // namespace morex::ops
