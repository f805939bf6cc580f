#include "adapters/low_rank_fit.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/linalg_cholesky_ex.h>
#include <ATen/ops/linalg_qr.h>
#include <ATen/ops/linalg_solve_triangular.h>
#include <ATen/ops/linalg_svd.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/sqrt.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace morex::adapters {
namespace {

constexpr int64_t kBlock = 512;  // columns of one block: what lies above the diagonal of blocks is not formed

}  // namespace

void InputMoments::add(const at::Tensor& given) {
  const at::NoGradGuard guard;
  const at::Tensor x = given.to(at::kDouble);
  const int64_t width = x.size(1);
  if (!second.defined()) second = at::zeros({width, width}, x.options());
  for (int64_t begin = 0; begin < width; begin += kBlock) {
    const int64_t size = std::min(kBlock, width - begin), below = width - begin;
    second.narrow(0, begin, below)
        .narrow(1, begin, size)
        .addmm_(x.narrow(1, begin, below).t(), x.narrow(1, begin, size));
  }
  rows += x.size(0);
}

at::Tensor InputMoments::symmetric() const {
  const at::Tensor lower = second.tril(-1);
  return lower + lower.t() + at::Tensor(second.diagonal()).diag();
}

void TargetMoments::add(const at::Tensor& t, const at::Tensor& x) {
  const at::NoGradGuard guard;
  const at::Tensor target = t.to(at::kDouble);
  if (!cross.defined()) cross = at::zeros({target.size(1), x.size(1)}, target.options());
  cross.addmm_(target.t(), x.to(at::kDouble));
  energy += target.square().sum().item<double>();
}

LowRankFit::LowRankFit(const InputMoments& input, double ridge) {
  const at::NoGradGuard guard;
  MOREX_ASSERT(input.rows > 0);
  rows_ = static_cast<double>(input.rows);
  second_ = input.symmetric() / rows_;
  const int64_t width = second_.size(0);
  const double trace = second_.diagonal().sum().item<double>();
  MOREX_CHECK(std::isfinite(trace), ErrorKind::kNumeric,
              "[fit] the inputs must be finite numbers, got NaN or infinity");
  // Inputs that are all zero say nothing: any ridge gives the zero map.
  lambda_ = trace > 0.0 ? ridge * trace / static_cast<double>(width) : 1.0;
  const auto [lower, info] = at::linalg_cholesky_ex(second_ + at::eye(width, second_.options()) * lambda_);
  MOREX_CHECK(info.item<int>() == 0, ErrorKind::kNumeric, "[fit] the inputs' second moments are not positive");
  lower_ = lower;
}

LowRankFit::Solution LowRankFit::solve(const TargetMoments& target, const at::Tensor& basis) const {
  const at::NoGradGuard guard;
  const at::Tensor cross = target.cross / rows_;  // [k, d_in]
  MOREX_CHECK(std::isfinite(target.energy) && at::isfinite(cross).all().item<bool>(), ErrorKind::kNumeric,
              "[fit] the adapter's update must be finite, got NaN or infinity");
  // C·L⁻ᵀ: solve K·Lᵀ = C.
  const at::Tensor k = at::linalg_solve_triangular(lower_.t(), cross, /*upper=*/true, /*left=*/false);
  const auto [u, sigma, vt] = at::linalg_svd(k, /*full_matrices=*/false);
  Solution solved;
  solved.u = basis.defined() ? at::matmul(basis, u) : u;
  solved.sigma = sigma;
  // Vᵀ·L⁻¹: solve A·L = Vᵀ.
  solved.v = at::linalg_solve_triangular(lower_, vt, /*upper=*/false, /*left=*/false);
  solved.energy = target.energy / rows_;
  // mean |t - M·x|² = energy - 2·tr(M·Cᵀ) + tr(M·S·Mᵀ). With A = Vᵀ·L⁻¹, M = U·Σ·A: C·a_i = σ_i·u_i and
  // A·(S + λ)·Aᵀ = 1, so that it is energy - Σ σ_i² - λ·|M|², and |M|² = Σ σ_i²·|a_i|².
  const at::Tensor weight = (solved.v.square().sum(1) * sigma.square()).cpu().contiguous();
  const at::Tensor square = sigma.square().cpu().contiguous();
  const double *weights = weight.const_data_ptr<double>(), *squares = square.const_data_ptr<double>();
  double lost = solved.energy;
  solved.lost.push_back(lost);
  for (int64_t i = 0; i < sigma.size(0); ++i) {
    lost -= squares[i] + lambda_ * weights[i];
    solved.lost.push_back(std::max(lost, 0.0));
  }
  return solved;
}

int64_t LowRankFit::Solution::rank_for(double tolerance) const {
  const double allowed = lost.back() + tolerance * tolerance * energy;
  for (int64_t rank = 1; rank < full_rank(); ++rank)
    if (lost[static_cast<size_t>(rank)] <= allowed) return rank;
  return std::max<int64_t>(1, full_rank());
}

LowRankFactors LowRankFit::Solution::factors(int64_t rank) const {
  const int64_t kept = std::min(rank, full_rank());
  // The same root mean square in both factors' rows and columns, as training leaves them.
  const at::Tensor root = at::sqrt(sigma.narrow(0, 0, kept));
  return {v.narrow(0, 0, kept) * root.unsqueeze(1), u.narrow(1, 0, kept) * root};
}

at::Tensor orthonormal_basis(const at::Tensor& span) {
  const at::NoGradGuard guard;
  if (span.size(1) >= span.size(0)) return {};
  return std::get<0>(at::linalg_qr(span.to(at::kDouble), "reduced"));
}

}  // namespace morex::adapters
