// The reduced-rank fit against its definition.
#include "adapters/low_rank_fit.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/linalg_solve.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/sin.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "support/golden_tensors.h"

namespace morex::adapters {
namespace {

constexpr int64_t kIn = 6, kOut = 5, kRows = 64;
constexpr double kRidge = 1e-3;

// Of squares: sines of evenly spaced numbers would make matrices of rank two.
at::Tensor numbers(at::IntArrayRef shape, double step) {
  return (at::arange(1, c10::multiply_integers(shape) + 1, at::kDouble).square() * step).sin().view(shape);
}

struct Problem {
  at::Tensor x, t;
  InputMoments input;
  TargetMoments target;

  Problem(at::Tensor given_x, at::Tensor given_t) : x(std::move(given_x)), t(std::move(given_t)) {
    for (int64_t begin = 0; begin < x.size(0); begin += 10) {
      const int64_t size = std::min<int64_t>(10, x.size(0) - begin);
      input.add(x.narrow(0, begin, size));
      target.add(t.narrow(0, begin, size), x.narrow(0, begin, size));
    }
  }
  static Problem curved() {
    const at::Tensor x = numbers({kRows, kIn}, 0.71);
    return {x, at::tanh(at::mm(x, numbers({kIn, kOut}, 0.37)) * 2.0) + 0.2};
  }
  double lost(const at::Tensor& map) const {
    return (t - at::mm(x, map.t())).square().sum().item<double>() / static_cast<double>(x.size(0));
  }
};

at::Tensor map_of(const LowRankFactors& factors) { return at::mm(factors.b, factors.a); }

TEST(LowRankFit, Moments_are_sums_over_rows) {
  const Problem problem = Problem::curved();
  EXPECT_EQ(problem.input.rows, kRows);
  EXPECT_TRUE(test::near(problem.input.symmetric(), at::mm(problem.x.t(), problem.x), 1e-12));
  EXPECT_TRUE(test::near(problem.target.cross, at::mm(problem.t.t(), problem.x), 1e-12));
  EXPECT_NEAR(problem.target.energy, problem.t.square().sum().item<double>(), 1e-12);

  // More columns than one block.
  const at::Tensor wide = numbers({7, 1100}, 0.3);
  InputMoments moments;
  moments.add(wide.to(at::kFloat));
  EXPECT_TRUE(test::near(moments.symmetric(), at::mm(wide.t(), wide), 1e-5));
}

TEST(LowRankFit, At_full_rank_it_solves_the_normal_equations) {
  const Problem problem = Problem::curved();
  const LowRankFit::Solution solved = LowRankFit(problem.input, kRidge).solve(problem.target);
  const at::Tensor s = at::mm(problem.x.t(), problem.x) / kRows, c = at::mm(problem.t.t(), problem.x) / kRows;
  const double lambda = kRidge * s.diagonal().sum().item<double>() / kIn;
  const at::Tensor expected = at::linalg_solve(s + at::eye(kIn, s.options()) * lambda, c.t()).t();
  EXPECT_TRUE(test::near(map_of(solved.factors(solved.full_rank())), expected, 1e-12));
}

TEST(LowRankFit, Its_errors_are_those_of_its_maps) {
  const Problem problem = Problem::curved();
  const LowRankFit::Solution solved = LowRankFit(problem.input, kRidge).solve(problem.target);
  EXPECT_NEAR(solved.energy, problem.lost(at::zeros({kOut, kIn}, at::kDouble)), 1e-12);
  ASSERT_EQ(solved.lost.size(), static_cast<size_t>(solved.full_rank() + 1));
  EXPECT_NEAR(solved.lost[0], solved.energy, 1e-12);
  for (int64_t rank = 1; rank <= solved.full_rank(); ++rank) {
    const LowRankFactors factors = solved.factors(rank);
    EXPECT_EQ(factors.a.size(0), rank);
    EXPECT_EQ(factors.b.size(1), rank);
    EXPECT_NEAR(solved.lost[static_cast<size_t>(rank)], problem.lost(map_of(factors)), 1e-12) << rank;
  }
}

TEST(LowRankFit, A_target_of_low_rank_is_met) {
  const at::Tensor x = numbers({kRows, kIn}, 0.71);
  const at::Tensor map = at::mm(numbers({kOut, 2}, 0.5), numbers({2, kIn}, 0.9));
  const Problem problem(x, at::mm(x, map.t()));
  const LowRankFit::Solution solved = LowRankFit(problem.input, 1e-14).solve(problem.target);
  EXPECT_TRUE(test::near(map_of(solved.factors(2)), map, 1e-9));
  EXPECT_LT(solved.lost[2], 1e-12 * solved.energy);
  EXPECT_EQ(solved.rank_for(1e-4), 2);
}

TEST(LowRankFit, A_basis_changes_nothing) {
  const at::Tensor x = numbers({kRows, kIn}, 0.71), span = numbers({kOut, 3}, 0.8);
  const Problem whole(x, at::mm(at::tanh(at::mm(x, numbers({kIn, 3}, 0.4))), span.t()));
  const at::Tensor basis = orthonormal_basis(span);
  EXPECT_TRUE(test::near(at::mm(basis.t(), basis), at::eye(3, at::kDouble), 1e-13));
  const Problem inside(x, at::mm(whole.t, basis));
  const LowRankFit fit(whole.input, kRidge);
  const LowRankFit::Solution a = fit.solve(whole.target), b = fit.solve(inside.target, basis);
  EXPECT_EQ(b.full_rank(), 3);
  for (int64_t rank = 1; rank <= 3; ++rank) {
    EXPECT_TRUE(test::near(map_of(a.factors(rank)), map_of(b.factors(rank)), 1e-11)) << rank;
    EXPECT_NEAR(a.lost[static_cast<size_t>(rank)], b.lost[static_cast<size_t>(rank)], 1e-12);
  }
  EXPECT_FALSE(orthonormal_basis(numbers({kOut, kOut}, 0.1)).defined());
}

TEST(LowRankFit, The_tolerance_says_what_a_cut_may_lose) {
  const Problem problem = Problem::curved();
  const LowRankFit::Solution solved = LowRankFit(problem.input, kRidge).solve(problem.target);
  for (const double tolerance : {0.0, 0.05, 0.2, 0.5, 1.0}) {
    const int64_t rank = solved.rank_for(tolerance);
    const double cut = solved.lost[static_cast<size_t>(rank)] - solved.lost.back();
    EXPECT_LE(cut, tolerance * tolerance * solved.energy + 1e-15);
    if (rank > 1) {
      EXPECT_GT(solved.lost[static_cast<size_t>(rank - 1)] - solved.lost.back(), tolerance * tolerance * solved.energy);
    }
  }
}

TEST(LowRankFit, Nothing_comes_of_nothing) {
  const at::Tensor x = numbers({kRows, kIn}, 0.71);
  const Problem still(x, at::zeros({kRows, kOut}, at::kDouble));
  const LowRankFit::Solution none = LowRankFit(still.input, kRidge).solve(still.target);
  EXPECT_EQ(none.rank_for(0.05), 1);
  EXPECT_TRUE(test::near(map_of(none.factors(1)), at::zeros({kOut, kIn}, at::kDouble), 0.0));

  // A dead input, and inputs that are all dead.
  const Problem dead(x * at::cat({at::zeros({1}, at::kDouble), at::ones({kIn - 1}, at::kDouble)}),
                     numbers({kRows, kOut}, 0.9));
  const LowRankFactors factors = LowRankFit(dead.input, kRidge).solve(dead.target).factors(3);
  EXPECT_TRUE(test::near(map_of(factors).select(1, 0), at::zeros({kOut}, at::kDouble), 1e-12));
  const Problem all_dead(x * 0.0, numbers({kRows, kOut}, 0.9));
  EXPECT_TRUE(test::near(map_of(LowRankFit(all_dead.input, kRidge).solve(all_dead.target).factors(2)),
                         at::zeros({kOut, kIn}, at::kDouble), 0.0));
}

TEST(LowRankFit, Numbers_that_are_not_finite_are_refused) {
  Problem problem = Problem::curved();
  problem.target.cross[0][0] = std::numeric_limits<double>::infinity();
  const LowRankFit fit(problem.input, kRidge);
  EXPECT_THROW(fit.solve(problem.target), Error);
  problem.input.second[0][0] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THROW(LowRankFit(problem.input, kRidge), Error);
}

}  // namespace
}  // namespace morex::adapters
