#include "adapters/expert_similarity.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/outer.h>

#include <cmath>
#include <limits>

#include "ops/gemm.h"

namespace morex::adapters {

at::Tensor update_products(const at::Tensor& a, const at::Tensor& b) {
  const int64_t experts = b.size(0), rank = b.size(1);
  const at::Tensor rows_a = a.reshape({-1, a.size(2)}), rows_b = b.reshape({-1, b.size(2)});
  const at::Tensor of_a =
      ops::matmul_nt(rows_a, rows_a).view({a.size(0), rank, a.size(0), rank});  // [E or 1, r, E or 1, r]
  const at::Tensor of_b = ops::matmul_nt(rows_b, rows_b).view({experts, rank, experts, rank});
  return (of_a * of_b).sum({1, 3});  // [E, E]
}

at::Tensor cosines_of(const at::Tensor& products) {
  const at::Tensor p = products.to(at::kCPU, at::kDouble);
  const at::Tensor lengths = p.diagonal().clamp_min(0).sqrt();  // [E]
  return p / at::outer(lengths, lengths);                       // 0 / 0: NaN
}

double mean_cosine(const at::Tensor& cosines) {
  const at::Tensor values = cosines.contiguous();
  const double* value = values.const_data_ptr<double>();
  const int64_t experts = values.size(0);
  double sum = 0, count = 0;
  for (int64_t i = 0; i < experts; ++i)
    for (int64_t j = 0; j < i; ++j)
      if (const double cosine = value[i * experts + j]; std::isfinite(cosine)) sum += cosine, count += 1;
  return count > 0 ? sum / count : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace morex::adapters
