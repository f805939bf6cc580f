// The type sums and non-linearities are computed in: float32 for float32 and bfloat16, float64 for float64.
#pragma once
#include <ATen/core/Tensor.h>

#include <type_traits>

namespace morex::ops {

template <typename T>
using Wide = std::conditional_t<std::is_same_v<T, double>, double, float>;

inline at::ScalarType wide_type(at::ScalarType type) { return type == at::kDouble ? at::kDouble : at::kFloat; }

}  // namespace morex::ops
