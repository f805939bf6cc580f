// No map of the fit's rank does better, whatever it is.
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/tanh.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "adapters/low_rank_fit.h"
#include "base/random.h"

namespace morex::adapters {
namespace {

at::Tensor drawn(at::IntArrayRef shape, uint64_t seed, const char* name) {
  std::vector<double> values(static_cast<size_t>(c10::multiply_integers(shape)));
  for (size_t i = 0; i < values.size(); ++i) values[i] = 2.0 * uniform_at({seed, stream_id(name), 0}, i) - 1.0;
  return at::from_blob(values.data(), shape, at::kDouble).clone();
}

struct Drawn {
  int64_t d_in = *rc::gen::inRange<int64_t>(1, 9), d_out = *rc::gen::inRange<int64_t>(1, 9);
  int64_t rows = *rc::gen::inRange<int64_t>(1, 40), rank = *rc::gen::inRange<int64_t>(1, 6);
  uint64_t seed = *rc::gen::arbitrary<uint64_t>();
  double ridge = *rc::gen::element(1e-2, 1e-6);
  // Directions of very different strength, as activations have them.
  at::Tensor x = drawn({rows, d_in}, seed, "x") * at::exp(drawn({d_in}, seed, "scale") * 3.0);
  at::Tensor t = at::tanh(at::mm(x, drawn({d_in, d_out}, seed, "t")));

  LowRankFit::Solution solve() const {
    InputMoments input;
    TargetMoments target;
    input.add(x);
    target.add(t, x);
    return LowRankFit(input, ridge).solve(target);
  }
  // What the fit minimises.
  double objective(const at::Tensor& b, const at::Tensor& a) const {
    const double n = static_cast<double>(rows);
    const double lambda = ridge * x.square().sum().item<double>() / n / static_cast<double>(d_in);
    const at::Tensor rest = t - at::mm(at::mm(x, a.t()), b.t());
    return rest.square().sum().item<double>() / n + lambda * at::mm(b, a).square().sum().item<double>();
  }
};

TEST(LowRankFitProperty, no_map_of_the_same_rank_does_better) {
  EXPECT_TRUE(rc::check([] {
    const Drawn problem;
    const LowRankFactors fit = problem.solve().factors(problem.rank);
    const double best = problem.objective(fit.b, fit.a);
    const at::Tensor b = drawn({problem.d_out, problem.rank}, problem.seed, "b");
    const at::Tensor a = drawn({problem.rank, problem.d_in}, problem.seed, "a");
    RC_ASSERT(best <= problem.objective(b, a) * (1.0 + 1e-9));
    // Nor does one nearby.
    const double step = *rc::gen::element(1e-1, 1e-2, 1e-3);
    const int64_t kept = fit.a.size(0);
    RC_ASSERT(best <= problem.objective(fit.b + step * b.narrow(1, 0, kept), fit.a + step * a.narrow(0, 0, kept)) *
                          (1.0 + 1e-9));
  }));
}

TEST(LowRankFitProperty, a_target_of_that_rank_is_met) {
  EXPECT_TRUE(rc::check([] {
    Drawn problem;
    const at::Tensor b = drawn({problem.d_out, problem.rank}, problem.seed, "b");
    const at::Tensor a = drawn({problem.rank, problem.d_in}, problem.seed, "a");
    problem.ridge = 1e-12;
    problem.t = at::mm(at::mm(problem.x, a.t()), b.t());
    const LowRankFactors fit = problem.solve().factors(problem.rank);
    const at::Tensor rest = problem.t - at::mm(at::mm(problem.x, fit.a.t()), fit.b.t());
    RC_ASSERT(rest.square().sum().item<double>() <= 1e-12 * problem.t.square().sum().item<double>());
  }));
}

TEST(LowRankFitProperty, more_rank_loses_no_more) {
  EXPECT_TRUE(rc::check([] {
    const LowRankFit::Solution solved = Drawn().solve();
    for (size_t rank = 1; rank < solved.lost.size(); ++rank)
      RC_ASSERT(solved.lost[rank] <= solved.lost[rank - 1] * (1.0 + 1e-12));
  }));
}

}  // namespace
}  // namespace morex::adapters
