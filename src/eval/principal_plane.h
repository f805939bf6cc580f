// Points in the plane that shows most of them.
#pragma once
#include <ATen/core/Tensor.h>

namespace morex::eval {

struct PrincipalPlane {
  at::Tensor mean;        // [D] float64
  at::Tensor directions;  // [2, D], of length 1; the component of largest size is positive. Zero where there is none
  double share = 0.0;     // of the variance that the plane shows
};

// The first two principal components of points [N, D], in float64.
PrincipalPlane principal_plane(const at::Tensor& points);
// Coordinates [N, 2] of points [N, D] in the plane.
at::Tensor project(const PrincipalPlane& plane, const at::Tensor& points);

}  // namespace morex::eval
