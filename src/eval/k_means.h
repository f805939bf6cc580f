// Lloyd's k-means with k-means++ seeding (Arthur and Vassilvitskii, SODA 2007), Euclidean, the same on every run.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace morex::eval {

struct KMeans {
  at::Tensor centroids;             // [k, D] float64, means of their points; zero where a cluster stays empty
  std::vector<int64_t> assignment;  // of each point; of equally near centroids the first
  std::vector<int64_t> sizes;       // points of each cluster
  double inertia = 0.0;             // sum of squared distances to the own centroid
  int64_t iterations = 0;
};

// points [N, D], any floating type; computed in float64 on the CPU. Draws are functions of (seed, cluster). A cluster
// that runs empty takes the point farthest from its centroid; fewer distinct points than k leave clusters empty.
// Throws Error(kConfig) for k < 1, Error(kData) for no points or a number that is not finite.
KMeans k_means(const at::Tensor& points, int64_t k, uint64_t seed, int64_t max_iterations = 100);

}  // namespace morex::eval
