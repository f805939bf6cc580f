#include "adapters/structure/row_norms.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/norm.h>

#include <algorithm>
#include <limits>

namespace morex::adapters {
namespace {

// Elements of one block of W + s·Bᵀ·A: 1 MiB in float32.
constexpr int64_t kBlockElements = int64_t{1} << 18;

}  // namespace

at::Tensor row_norms(const nn::LinearWeight& weight, const at::Tensor& up, const at::Tensor& down, double scale) {
  const at::NoGradGuard guard;
  const int64_t outputs = weight.out_features();
  const int64_t block = std::max<int64_t>(1, kBlockElements / std::max<int64_t>(1, weight.in_features()));
  const at::Tensor norms = at::empty({outputs}, up.options());
  for (int64_t first = 0; first < outputs; first += block) {
    const int64_t count = std::min(block, outputs - first);
    const at::Tensor rows = at::addmm(weight.rows(first, count, up.scalar_type()), up.narrow(1, first, count).t(), down,
                                      1.0, scale);  // [count, d_in]
    norms.narrow(0, first, count).copy_(at::norm(rows, 2, {1}));
  }
  return norms.clamp_min_(std::numeric_limits<float>::min());
}

const at::Tensor& RowNorms::of(const nn::LinearWeight& weight, const at::Tensor& up, const at::Tensor& down,
                               double scale) {
  // Comparing the factors costs r·(d_in + d_out) reads; the norms cost r times the weight's elements.
  const bool same = norms_.defined() && weight.value.is_same(weight_) && at::equal(up, up_) && at::equal(down, down_);
  if (!same) {
    norms_ = row_norms(weight, up, down, scale);
    weight_ = weight.value;
    up_ = up.clone();
    down_ = down.clone();
  }
  return norms_;
}

}  // namespace morex::adapters
