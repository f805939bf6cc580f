// How well points sit in their clusters.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace morex::eval {

// The silhouette of each point (Rousseeuw 1987), [N] float64: (b - a) / max(a, b), a its mean distance to the others of
// its cluster, b the least mean distance to those of another; 0 for a point alone, or where there is one cluster only.
// points [N, D], computed in float64; N·N distances, a block of rows at a time.
at::Tensor silhouettes(const at::Tensor& points, const std::vector<int64_t>& assignment, int64_t clusters);

}  // namespace morex::eval
