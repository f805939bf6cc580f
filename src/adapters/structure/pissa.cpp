#include "adapters/structure/pissa.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/linalg_svd.h>
#include <ATen/ops/sqrt.h>

#include "base/error.h"
#include "ops/wide.h"

namespace morex::adapters {
namespace {

at::Tensor wide_matrix(const nn::LinearWeight& weight) {  // [d_out, d_in]
  const at::Tensor w = weight.value.detach().to(ops::wide_type(weight.value.scalar_type()));
  return weight.transposed ? w.t() : w;
}

}  // namespace

LowRankFactors principal_factors(const nn::LinearWeight& weight, int64_t rank, double scale) {
  const at::NoGradGuard guard;
  MOREX_CHECK(rank <= weight.out_features() && rank <= weight.in_features(), ErrorKind::kConfig,
              "[experts] init_lora_weights pissa needs r of at most the weight's sizes, got r {} for [{}, {}]", rank,
              weight.out_features(), weight.in_features());
  MOREX_CHECK(scale > 0.0, ErrorKind::kConfig,
              "[experts] init_lora_weights pissa needs a positive lora_alpha, got a scale of {}", scale);
  const auto [p, sigma, q] = at::linalg_svd(wide_matrix(weight), /*full_matrices=*/false);
  const at::Tensor root = at::sqrt(sigma.narrow(0, 0, rank) / scale);  // [r]
  return {q.narrow(0, 0, rank) * root.unsqueeze(1), p.narrow(1, 0, rank) * root};
}

at::Tensor residual_weight(const nn::LinearWeight& weight, const LowRankFactors& factors, double scale) {
  const at::NoGradGuard guard;
  const at::Tensor w = (weight.transposed ? weight.value.t() : weight.value).to(factors.a.scalar_type());
  at::Tensor rest = at::addmm(w, factors.b, factors.a, 1.0, -scale).to(weight.value.scalar_type());
  return weight.transposed ? rest.t().contiguous() : rest;
}

LowRankFactors on_original_base(const LowRankFactors& trained, const LowRankFactors& start) {
  return {at::cat({trained.a, start.a}, 0), at::cat({trained.b, -start.b}, 1)};
}

}  // namespace morex::adapters
