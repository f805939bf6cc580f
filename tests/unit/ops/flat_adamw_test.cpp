#include "ops/flat_adamw.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>

#include <limits>

#include "ops/flat_adamw_reference.h"
#include "support/golden_tensors.h"
#include "unit/ops/compare.h"

namespace morex::test {
namespace {

at::TensorOptions there(at::ScalarType dtype) { return at::TensorOptions(dtype).device(test_device()); }

TEST(FlatAdamW, FollowsTorchOverManySteps) {
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble}) {
    const int64_t n = 40000;
    const at::Tensor p = random_tensor({n}, 1).to(there(dtype)), m = at::zeros_like(p), v = at::zeros_like(p);
    const at::Tensor rp = p.clone(), rm = m.clone(), rv = v.clone();
    const ops::AdamWOptions options{3e-3, 0.9, 0.95, 1e-8, 0.1};
    for (int64_t step = 0; step < 20; ++step) {
      const at::Tensor g = random_tensor({n}, 100 + static_cast<uint64_t>(step)).to(there(dtype));
      ops::flat_adamw(p, g, m, v, {{0, n}}, options, step);
      ops::reference::adamw(rp, g, rm, rv, options, step + 1);
    }
    const double tolerance = dtype == at::kFloat ? 2e-6 : 1e-14;
    EXPECT_TRUE(near(p, rp, tolerance, tolerance));
    EXPECT_TRUE(near(m, rm, tolerance, tolerance));
    EXPECT_TRUE(near(v, rv, tolerance, tolerance));
  }
}

TEST(FlatAdamW, SegmentsCarryTheirOwnSettings) {
  const at::Tensor p = at::ones({48}, there(at::kDouble)), g = at::ones({48}, there(at::kDouble));
  const at::Tensor m = at::zeros({48}, there(at::kDouble)), v = at::zeros_like(m);
  const ops::AdamWOptions options{0.1, 0.9, 0.999, 0.0, 0.5};
  const std::vector<ops::AdamWSegment> segments = {{0, 8}, {8, 8, 2.0, false}, {16, 8, 1.0, false, 0, 1}};
  ops::flat_adamw(p, g, m, v, segments, options, 0);
  EXPECT_TRUE(near(p.narrow(0, 0, 8), at::full({8}, 1.0 - 0.1 * 0.5 - 0.1, at::kDouble), 1e-12));
  EXPECT_TRUE(near(p.narrow(0, 8, 8), at::full({8}, 1.0 - 0.2, at::kDouble), 1e-12));
  EXPECT_TRUE(same_bits(p.narrow(0, 16, 32), at::ones({32}, at::kDouble)));  // frozen, and in no segment
  EXPECT_TRUE(same_bits(m.narrow(0, 16, 32), at::zeros({32}, at::kDouble)));
  ops::flat_adamw(p, g, m, v, segments, options, 1);
  // The late segment's first update is bias-corrected as a first one.
  EXPECT_TRUE(near(p.narrow(0, 16, 8), at::full({8}, 1.0 - 0.1, at::kDouble), 1e-12));
}

TEST(FlatAdamW, A_frozen_segment_goes_on_as_if_the_steps_had_not_been) {
  const at::Tensor p = at::ones({8}, there(at::kDouble)), m = at::zeros_like(p), v = at::zeros_like(p);
  const at::Tensor p2 = p.clone(), m2 = m.clone(), v2 = v.clone();
  const ops::AdamWOptions options{0.1, 0.9, 0.999, 1e-8, 0.5};
  int64_t own = 0;
  for (int64_t step = 0; step < 6; ++step) {
    const at::Tensor g = random_tensor({8}, static_cast<uint64_t>(step) + 1).to(test_device()), before = p.clone();
    ops::flat_adamw(p, g, m, v, {{0, 8, 1.0, true, 2, 4}}, options, step);
    if (step == 2 || step == 3) {
      EXPECT_TRUE(same_bits(p, before));
    } else {
      ops::flat_adamw(p2, g, m2, v2, {{0, 8}}, options, own++);
    }
  }
  EXPECT_TRUE(same_bits(p, p2));
  EXPECT_TRUE(same_bits(m, m2));
  EXPECT_TRUE(same_bits(v, v2));
}

TEST(FlatAdamW, ResultsDoNotDependOnThreads) {
  const int64_t n = 100003;
  const at::Tensor g = random_tensor({n}, 2).to(at::kFloat);
  const int threads = at::get_num_threads();
  std::vector<at::Tensor> results;
  std::vector<double> norms;
  for (const int count : {1, 2, 3}) {
    at::set_num_threads(count);
    const at::Tensor p = random_tensor({n}, 1).to(at::kFloat), m = at::zeros_like(p), v = at::zeros_like(p);
    ops::flat_adamw(p, g, m, v, {{0, 5000}, {5000, n - 5000}}, {}, 0);
    results.push_back(p);
    norms.push_back(ops::grad_norm(g));
  }
  at::set_num_threads(threads);
  EXPECT_TRUE(same_bits(results[0], results[1]));
  EXPECT_TRUE(same_bits(results[0], results[2]));
  EXPECT_EQ(norms[0], norms[1]);
  EXPECT_EQ(norms[0], norms[2]);
}

TEST(GradNorm, MatchesFloat64AndClipsAsTorchDoes) {
  for (const int64_t n : {0, 1, 16384, 70001}) {
    const at::Tensor g = random_tensor({n}, 3).to(there(at::kFloat)), before = g.clone();
    const double exact = g.to(at::kDouble).norm().item<double>();
    EXPECT_NEAR(ops::grad_norm(g), exact, 1e-12 * (1.0 + exact));
    EXPECT_EQ(ops::clip_grad_norm(g, 1e9), ops::grad_norm(before));
    EXPECT_TRUE(same_bits(g, before));
    EXPECT_EQ(ops::clip_grad_norm(g, 0.0), ops::grad_norm(before));
    EXPECT_TRUE(same_bits(g, before));
    if (exact == 0.0) continue;
    ops::clip_grad_norm(g, exact / 2);
    EXPECT_TRUE(near(g, before * (exact / 2 / (exact + 1e-6)), 1e-6));
  }
}

TEST(HasNonFinite, FindsOneBadElementAnywhere) {
  const double bad[] = {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(),
                        -std::numeric_limits<double>::infinity()};
  for (const at::ScalarType dtype : all_dtypes()) {
    const at::Tensor clean = at::full({40001}, 1e30, there(dtype));
    EXPECT_FALSE(ops::has_non_finite(clean));
    EXPECT_FALSE(ops::has_non_finite(at::empty({0}, there(dtype))));
    for (const double value : bad) {
      for (const int64_t at_index : {0, 16384, 40000}) {
        at::Tensor t = clean.clone();
        t[at_index] = value;
        EXPECT_TRUE(ops::has_non_finite(t));
      }
    }
  }
}

}  // namespace
}  // namespace morex::test
