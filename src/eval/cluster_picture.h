// Clusters of prompts as a picture: a scatter of the prompts in the plane of their first two principal components.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "eval/clusters.h"

namespace morex::eval {

// A self-contained SVG: each prompt a mark in its cluster's colour and shape, its text shown under the pointer; each
// centroid its number; a legend with size and nearest prompt of every cluster. points [N, D] as compared with the
// centroids, assignment and texts N.
std::string cluster_picture(const ClusterSet& set, const at::Tensor& points, const std::vector<int64_t>& assignment,
                            const std::vector<std::string>& texts);

}  // namespace morex::eval
