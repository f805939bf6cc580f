#include "eval/k_means.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>

#include "base/error.h"
#include "base/random.h"

namespace morex::eval {
namespace {

// The points and what every distance needs.
struct Points {
  at::Tensor x;        // [N, D] float64
  at::Tensor squared;  // [N] squared norms
  double tiny = 0.0;   // below this a squared distance is rounding
  int64_t count() const { return x.size(0); }
};

Points prepare(const at::Tensor& points) {
  MOREX_CHECK(points.dim() == 2 && points.size(0) > 0 && points.size(1) > 0, ErrorKind::kData,
              "[k-means] there must be at least one point, got none");
  MOREX_CHECK(at::isfinite(points).all().item<bool>(), ErrorKind::kData, "[k-means] points must be finite numbers");
  Points prepared;
  prepared.x = points.detach().to(at::kCPU, at::kDouble).contiguous();
  prepared.squared = prepared.x.square().sum(1);
  prepared.tiny = 1e-12 * prepared.squared.max().item<double>();
  return prepared;
}

// [N, k] squared distances.
at::Tensor distances(const Points& points, const at::Tensor& centroids) {
  const at::Tensor cross = at::mm(points.x, centroids.t());
  return (points.squared.unsqueeze(1) + centroids.square().sum(1) - 2.0 * cross).clamp_min_(0.0);
}

// The first index at which the running sum of the weights passes `share` of their total; -1 when all are tiny.
int64_t draw(const at::Tensor& weights, double share, double tiny) {
  const double* w = weights.const_data_ptr<double>();
  const int64_t n = weights.numel();
  double total = 0.0;
  for (int64_t i = 0; i < n; ++i) total += w[i] > tiny ? w[i] : 0.0;
  double passed = 0.0;
  int64_t last = -1;
  for (int64_t i = 0; i < n; ++i) {
    if (w[i] <= tiny) continue;
    last = i;
    passed += w[i];
    if (passed > share * total) return i;
  }
  return last;
}

// k-means++: each next centre is a point drawn with a chance proportional to its squared distance to the nearest one.
at::Tensor first_centroids(const Points& points, int64_t k, uint64_t seed) {
  const RandomKey key{seed, stream_id("k-means"), 0};
  at::Tensor centroids = at::zeros({k, points.x.size(1)}, at::kDouble);
  at::Tensor nearest;  // [N] squared distance to the nearest centre
  for (int64_t c = 0; c < k; ++c) {
    const double share = uniform_at(key, static_cast<uint64_t>(c));
    const int64_t chosen =
        c == 0 ? std::min(static_cast<int64_t>(share * static_cast<double>(points.count())), points.count() - 1)
               : draw(nearest, share, points.tiny);
    if (chosen < 0) break;  // every point is a centre already
    centroids[c].copy_(points.x[chosen]);
    const at::Tensor to_new = distances(points, centroids.narrow(0, c, 1)).squeeze(1).contiguous();
    nearest = c == 0 ? to_new : nearest.minimum(to_new).contiguous();
  }
  return centroids;
}

}  // namespace

KMeans k_means(const at::Tensor& points, int64_t k, uint64_t seed, int64_t max_iterations) {
  const at::NoGradGuard no_gradients;
  MOREX_CHECK(k >= 1, ErrorKind::kConfig, "[k-means] there must be at least one cluster, got {}", k);
  const Points given = prepare(points);
  const int64_t n = given.count();
  KMeans result;
  result.centroids = first_centroids(given, k, seed);
  for (;;) {
    const auto [least, nearest] = distances(given, result.centroids).min(1);  // [N] each
    const at::Tensor least_own = least.contiguous(), nearest_own = nearest.contiguous();
    std::vector<double> far(least_own.const_data_ptr<double>(), least_own.const_data_ptr<double>() + n);
    const int64_t* chosen = nearest_own.const_data_ptr<int64_t>();
    const bool settled = std::equal(result.assignment.begin(), result.assignment.end(), chosen, chosen + n);
    result.assignment.assign(chosen, chosen + n);
    result.sizes.assign(static_cast<size_t>(k), 0);
    for (const int64_t cluster : result.assignment) ++result.sizes[static_cast<size_t>(cluster)];
    result.inertia = 0.0;
    for (const double distance : far) result.inertia += distance;
    if (settled || result.iterations == max_iterations) return result;

    ++result.iterations;
    at::Tensor next = at::zeros_like(result.centroids).index_add_(0, nearest_own, given.x);  // [k, D]
    for (int64_t c = 0; c < k; ++c) {
      const int64_t size = result.sizes[static_cast<size_t>(c)];
      if (size > 0) {
        next[c].div_(static_cast<double>(size));
        continue;
      }
      const auto farthest = std::max_element(far.begin(), far.end());
      if (*farthest <= given.tiny) continue;
      next[c].copy_(given.x[farthest - far.begin()]);
      *farthest = 0.0;
    }
    result.centroids = next;
  }
}

}  // namespace morex::eval
