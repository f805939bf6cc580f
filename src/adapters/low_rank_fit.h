// The best linear map of low rank from one random vector to another, by their second moments: reduced-rank regression
// (Izenman, J. Multivariate Anal. 5, 1975) with a ridge.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "adapters/structure/pissa.h"

namespace morex::adapters {

// Sums over rows x [T, d_in], in float64: Σ x·xᵀ and the number of rows.
struct InputMoments {
  at::Tensor second;  // [d_in, d_in], the lower triangle of blocks; undefined before the first rows
  int64_t rows = 0;

  void add(const at::Tensor& x);  // x of any floating-point type, on any device
  at::Tensor symmetric() const;   // the whole matrix
};

// Sums over rows of a target t [T, k] beside its x, in float64: Σ t·xᵀ and Σ |t|².
struct TargetMoments {
  at::Tensor cross;  // [k, d_in]
  double energy = 0.0;

  void add(const at::Tensor& t, const at::Tensor& x);
};

// With S = Σ x·xᵀ / n, C = Σ t·xᵀ / n, λ = ridge·tr(S)/d_in and S + λ = L·Lᵀ, the map M of rank at most r that
// minimises mean |t - M·x|² + λ·|M|² is U_r·Σ_r·V_rᵀ·L⁻¹ of the singular values of C·L⁻ᵀ = U·Σ·Vᵀ.
class LowRankFit {
 public:
  // Throws Error(kNumeric) when the moments hold no finite numbers.
  LowRankFit(const InputMoments& input, double ridge);

  // Solved for one target. `basis` [d_out, k] with orthonormal columns: t are coordinates in it; undefined: t is the
  // target itself.
  struct Solution {
    at::Tensor u, sigma, v;    // [d_out, q], [q] descending, [q, d_in] (already times L⁻¹)
    double energy = 0.0;       // mean |t|²
    std::vector<double> lost;  // lost[r]: mean |t - M_r·x|² of the best map of rank r, r = 0 … q

    int64_t full_rank() const { return sigma.size(0); }
    // The smallest rank for which the cut loses at most the share `tolerance` of the target's root mean square, beyond
    // what no linear map can give; at least 1.
    int64_t rank_for(double tolerance) const;
    LowRankFactors factors(int64_t rank) const;  // b·a = M_rank, a [rank, d_in], b [d_out, rank], balanced
  };
  Solution solve(const TargetMoments& target, const at::Tensor& basis = {}) const;

 private:
  at::Tensor second_, lower_;  // S and L, [d_in, d_in]
  double rows_ = 0.0, lambda_ = 0.0;
};

// [d_out, k] orthonormal columns that span the columns of `span` [d_out, k], in float64; undefined when k >= d_out.
at::Tensor orthonormal_basis(const at::Tensor& span);

}  // namespace morex::adapters
