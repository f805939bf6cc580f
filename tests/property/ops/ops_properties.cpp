// Random shapes, masks and numbers: the optimiser against scalar code, attention against its reference.
#include <ATen/core/Tensor.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cmath>

#include "ops/attention.h"
#include "ops/attention_reference.h"
#include "ops/flat_adamw.h"
#include "support/golden_tensors.h"
#include "unit/ops/attention_kind.h"
#include "unit/ops/compare.h"

namespace morex::test {
namespace {

// RapidCheck reports to stdout; the assertion makes the failure GoogleTest's too.
template <typename F>
void check(const std::string& what, F&& f) {
  EXPECT_TRUE(rc::check(what, std::forward<F>(f)));
}

TEST(FlatAdamWProperty, EqualsScalarCodeInTorchOrder) {
  check("AdamW", [] {
    const int64_t n = *rc::gen::inRange<int64_t>(1, 40);
    const int64_t first = *rc::gen::inRange<int64_t>(0, n + 1);
    const uint64_t seed = *rc::gen::arbitrary<uint64_t>();
    const ops::AdamWOptions options{*rc::gen::element(1e-4, 1e-2, 0.5), *rc::gen::element(0.0, 0.9),
                                    *rc::gen::element(0.95, 0.999), 1e-8, *rc::gen::element(0.0, 0.1)};
    const int64_t frozen_from = *rc::gen::inRange<int64_t>(0, 4);
    const std::vector<ops::AdamWSegment> segments = {
        {0, first, *rc::gen::element(1.0, 4.0)},
        {first, n - first, 1.0, *rc::gen::arbitrary<bool>(), frozen_from, *rc::gen::inRange<int64_t>(frozen_from, 5)}};
    const at::Tensor p = random_tensor({n}, seed), m = at::zeros_like(p), v = at::zeros_like(p);
    std::vector<double> rp(p.const_data_ptr<double>(), p.const_data_ptr<double>() + n), rm(rp.size()), rv(rp.size());
    std::vector<double> updates(segments.size());  // each segment's own
    for (int64_t step = 0; step < 6; ++step) {
      const at::Tensor g = random_tensor({n}, seed + 1 + static_cast<uint64_t>(step));
      ops::flat_adamw(p, g, m, v, segments, options, step);
      for (size_t number = 0; number < segments.size(); ++number) {
        const ops::AdamWSegment& s = segments[number];
        if (step >= s.frozen_from && step < s.frozen_until) continue;
        const double t = ++updates[number], lr = options.lr * s.lr_factor;
        for (int64_t i = s.offset; i < s.offset + s.size; ++i) {
          const size_t k = static_cast<size_t>(i);
          const double grad = g.const_data_ptr<double>()[i];
          if (s.decay) rp[k] *= 1.0 - lr * options.weight_decay;
          rm[k] += (1.0 - options.beta1) * (grad - rm[k]);
          rv[k] = options.beta2 * rv[k] + (1.0 - options.beta2) * grad * grad;
          const double denominator = std::sqrt(rv[k]) / std::sqrt(1.0 - std::pow(options.beta2, t)) + options.eps;
          rp[k] -= lr / (1.0 - std::pow(options.beta1, t)) * rm[k] / denominator;
        }
      }
    }
    for (int64_t i = 0; i < n; ++i) {
      const double expected = rp[static_cast<size_t>(i)];
      RC_ASSERT(std::abs(p.const_data_ptr<double>()[i] - expected) <= 1e-13 * (1.0 + std::abs(expected)));
    }
  });
}

TEST(AttentionProperty, EqualsReferenceForRandomMasksAndSegments) {
  check("attention", [] {
    const int64_t batch = *rc::gen::inRange<int64_t>(1, 4), key_heads = *rc::gen::inRange<int64_t>(1, 3);
    const int64_t heads = key_heads * *rc::gen::inRange<int64_t>(1, 4), width = *rc::gen::element<int64_t>(2, 8, 20);
    const int64_t keys = *rc::gen::inRange<int64_t>(1, 150), length = *rc::gen::inRange<int64_t>(1, keys + 1);
    const uint64_t seed = *rc::gen::inRange<uint64_t>(0, 1000);
    ops::AttentionKind kind;
    kind.causal = *rc::gen::arbitrary<bool>();
    kind.window = *rc::gen::element<int64_t>(0, 0, 1, 5, 70);
    const auto uniform = [&](uint64_t s) { return random_tensor({batch, keys}, s); };
    if (*rc::gen::arbitrary<bool>()) kind.key_mask = uniform(seed + 1) > -0.5;
    if (*rc::gen::arbitrary<bool>()) kind.segments = (uniform(seed + 2) > 1.5).to(at::kLong).cumsum(1);
    const at::ScalarType dtype = *rc::gen::element(at::kDouble, at::kFloat, at::kBFloat16);
    const OpFunction op = [&](const auto& in) {
      return ops::attention(in[0], in[1], in[2], 0.5, on(kind, in[0].device()));
    };
    const OpFunction reference = [&](const auto& in) {
      return ops::reference::attention(in[0], in[1], in[2], 0.5, kind);
    };
    compare_with_reference(op, reference,
                           {{random_tensor({batch, heads, length, width}, seed + 3)},
                            {random_tensor({batch, key_heads, keys, width}, seed + 4)},
                            {random_tensor({batch, key_heads, keys, width}, seed + 5)}},
                           dtype, *rc::gen::element(Layout::kContiguous, Layout::kColumnSlice, Layout::kTransposed));
    RC_ASSERT(!testing::Test::HasFailure());
  });
}

}  // namespace
}  // namespace morex::test
