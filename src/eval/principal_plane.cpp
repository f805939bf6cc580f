#include "eval/principal_plane.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/linalg_svd.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "base/error.h"

namespace morex::eval {

PrincipalPlane principal_plane(const at::Tensor& points) {
  const at::NoGradGuard no_gradients;
  MOREX_ASSERT(points.dim() == 2 && points.size(0) > 0);
  const at::Tensor x = points.to(at::kDouble);
  PrincipalPlane plane;
  plane.mean = x.mean(0);
  const auto [u, s, v] = at::linalg_svd(x - plane.mean, /*full_matrices=*/false);  // v [min(N, D), D]
  const int64_t found = std::min<int64_t>(2, v.size(0));
  plane.directions = at::zeros({2, x.size(1)}, at::kDouble);
  for (int64_t i = 0; i < found; ++i) {
    const double largest = v[i][v[i].abs().argmax()].item<double>();
    plane.directions[i].copy_(largest < 0 ? -v[i] : v[i]);
  }
  const double all = s.square().sum().item<double>();
  plane.share = all > 0.0 ? s.narrow(0, 0, found).square().sum().item<double>() / all : 0.0;
  return plane;
}

at::Tensor project(const PrincipalPlane& plane, const at::Tensor& points) {
  return at::mm(points.to(at::kDouble) - plane.mean, plane.directions.t());
}

}  // namespace morex::eval
