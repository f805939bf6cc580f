// top_k, row_softmax, softmax_mixture and scale_experts.
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <limits>

#include "ops/row_softmax.h"
#include "ops/row_softmax_reference.h"
#include "ops/scale_experts.h"
#include "ops/scale_experts_reference.h"
#include "ops/softmax_mixture.h"
#include "ops/softmax_mixture_reference.h"
#include "ops/top_k.h"
#include "ops/top_k_reference.h"
#include "unit/ops/compare.h"

namespace morex::test {
namespace {

const std::vector<int64_t> kRows = {0, 1, 7, 64, 4099};
const std::vector<at::ScalarType> kDtypes = {at::kDouble, at::kFloat};

TEST(TopK, MatchesReference) {
  for (const at::ScalarType dtype : kDtypes) {
    for (const Layout layout : all_layouts()) {
      for (const int64_t rows : kRows) {
        for (const int64_t k : {1, 3, 8}) {
          for (const bool shares : {false, true}) {
            SCOPED_TRACE("rows " + std::to_string(rows) + " k " + std::to_string(k));
            const OpFunction op = [&](const auto& in) { return ops::top_k(in[0], k, shares).values; };
            const OpFunction reference = [&](const auto& in) { return ops::reference::top_k(in[0], k, shares).values; };
            compare_with_reference(op, reference, {{random_tensor({rows, 8}, 1).abs_()}}, dtype, layout);
          }
        }
      }
    }
  }
}

TEST(TopK, LowerIndexFirstAmongEqualsAndNanLargest) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const at::Tensor values = at::tensor({1.0, 2.0, 2.0, 0.0, 5.0, 5.0, 5.0, 5.0, 1.0, nan, 3.0, nan}).view({3, 4});
  const at::Tensor ids = ops::top_k(values, 3).ids;
  EXPECT_TRUE(at::equal(ids, at::tensor({1, 2, 0, 0, 1, 2, 1, 3, 2}, at::kLong).view({3, 3})));
  EXPECT_TRUE(at::equal(ids, ops::reference::top_k(values, 3, false).ids));
}

TEST(TopK, GradientsMatchCentralDifferences) {
  for (const bool shares : {false, true})
    check_gradients([&](const auto& in) { return ops::top_k(in[0], 2, shares).values; },
                    {random_tensor({5, 4}, 1).abs_()});
}

TEST(SoftmaxMixture, MatchesReference) {
  const OpFunction op = [](const auto& in) { return ops::softmax_mixture(in[0], in[1]); };
  const OpFunction reference = [](const auto& in) { return ops::reference::softmax_mixture(in[0], in[1]); };
  for (const at::ScalarType dtype : kDtypes) {
    for (const Layout layout : all_layouts()) {
      for (const int64_t rows : kRows) {
        for (const int64_t routers : {1, 2, 5}) {
          SCOPED_TRACE("rows " + std::to_string(rows) + " routers " + std::to_string(routers));
          compare_with_reference(op, reference,
                                 {{random_tensor({rows, routers, 6}, 1, 3.0)}, {random_tensor({rows, routers}, 2)}},
                                 dtype, layout);
        }
      }
    }
  }
}

// The logits of all routers are columns of one product, between others.
TEST(SoftmaxMixture, ReadsColumnsOfAWiderMatrix) {
  const at::Tensor wide = random_tensor({33, 15}, 1);
  const at::Tensor logits = wide.narrow(1, 2, 12).view({33, 3, 4}), p = random_tensor({33, 3}, 2);
  EXPECT_TRUE(at::equal(ops::softmax_mixture(logits, p), ops::softmax_mixture(logits.contiguous(), p)));
}

TEST(SoftmaxMixture, StaysFiniteForLargeLogits) {
  const at::Tensor logits = at::tensor({1e4, -1e4, 0.0, 1e30, -1e30, 0.0}, at::kFloat).view({1, 2, 3});
  const at::Tensor pi = ops::softmax_mixture(logits, at::tensor({0.25, 0.75}, at::kFloat).view({1, 2}));
  EXPECT_TRUE(at::equal(pi, at::tensor({1.0, 0.0, 0.0}, at::kFloat).view({1, 3})));
}

TEST(SoftmaxMixture, GradientsMatchCentralDifferences) {
  check_gradients([](const auto& in) { return ops::softmax_mixture(in[0], in[1]); },
                  {random_tensor({4, 2, 3}, 1), random_tensor({4, 2}, 2)});
}

TEST(RowSoftmax, MatchesReference) {
  const OpFunction op = [](const auto& in) { return ops::row_softmax(in[0]); };
  const OpFunction reference = [](const auto& in) { return ops::reference::row_softmax(in[0]); };
  for (const at::ScalarType dtype : kDtypes)
    for (const Layout layout : all_layouts())
      for (const int64_t rows : kRows)
        for (const int64_t experts : {1, 4, 37})
          compare_with_reference(op, reference, {{random_tensor({rows, experts}, 1, 5.0)}}, dtype, layout);
}

TEST(RowSoftmax, LargeLogitsAndNonFiniteOnesAsTheLibrary) {
  const double inf = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
  for (const at::ScalarType dtype : kDtypes) {
    const at::Tensor logits =
        at::tensor({1e4, -1e4, 0.0, 1e30, -1e30, 1e30, -inf, 1.0, 2.0, inf, 0.0, 0.0, nan, 0.0, 1.0, -inf, -inf, -inf})
            .view({6, 3})
            .to(dtype);
    const at::Tensor pi = ops::row_softmax(logits), expected = ops::reference::row_softmax(logits);
    EXPECT_TRUE(at::allclose(pi, expected, 1e-6, 1e-30, /*equal_nan=*/true)) << pi;
  }
}

TEST(RowSoftmax, GradientsMatchCentralDifferences) {
  check_gradients([](const auto& in) { return ops::row_softmax(in[0]); }, {random_tensor({4, 5}, 1)});
}

ops::ScaleExpertsInput of_experts(const std::vector<at::Tensor>& in, const at::Tensor& ids, bool shared) {
  return {in[0], in[1], ids.defined() ? ids.to(in[0].device()) : ids, shared};
}

// ids [rows, picks] of `experts`, no two of a row alike; undefined: all are picked.
at::Tensor picked(int64_t rows, int64_t picks, int64_t experts) {
  if (picks == experts) return {};
  return (at::arange(rows, at::kLong).unsqueeze(1) * 3 + at::arange(picks, at::kLong) * 2 + 1).remainder(experts);
}

TEST(ScaleExperts, MatchesReference) {
  constexpr int64_t kExperts = 5;
  constexpr double kScale = 0.75;
  for (const int64_t rows : kRows) {
    for (const int64_t rank : {1, 8, 17}) {
      for (const int64_t picks : {int64_t{1}, int64_t{2}, kExperts}) {
        for (const bool shared : {false, true}) {
          SCOPED_TRACE(testing::Message() << rows << " rows, rank " << rank << ", picks " << picks << ", " << shared);
          const at::Tensor ids = picked(rows, picks, kExperts);
          const auto op = [&](const auto& in) {
            return ops::scale_experts(of_experts(in, ids, shared), kExperts, kScale);
          };
          const auto reference = [&](const auto& in) {
            return ops::reference::scale_experts(of_experts(in, ids, shared), kExperts, kScale);
          };
          const at::Tensor h = random_tensor({rows, shared ? rank : kExperts * rank}, 1);
          const at::Tensor weights = random_tensor({rows, picks}, 2);
          for (const at::ScalarType dtype : all_dtypes()) {
            // Gates are in the wide type.
            const bool narrow = dtype == at::kBFloat16;
            const OpInput gates{narrow ? weights.to(at::kFloat) : weights, true, !narrow};
            for (const Layout layout : all_layouts())
              compare_with_reference(op, reference, {{h}, gates}, dtype, layout, narrow ? 2.0 : 1.0);
          }
        }
      }
    }
  }
}

TEST(ScaleExperts, Bfloat16IsRoundedOnce) {
  const at::Tensor h = random_tensor({9, 24}, 1).to(at::kBFloat16), g = random_tensor({9, 2}, 2).to(at::kFloat);
  const ops::ScaleExpertsInput in{h, g, picked(9, 2, 3)};
  const at::Tensor wide = ops::scale_experts({h.to(at::kFloat), g, in.ids}, 3, 2.0);
  EXPECT_TRUE(at::equal(ops::scale_experts(in, 3, 2.0), wide.to(at::kBFloat16)));
  EXPECT_TRUE(at::equal(ops::reference::scale_experts(in, 3, 2.0), wide.to(at::kBFloat16)));
}

TEST(ScaleExperts, GradientsMatchCentralDifferences) {
  for (const bool shared : {false, true}) {
    const at::Tensor ids = picked(3, 2, 4);
    check_gradients([&](const auto& in) { return ops::scale_experts(of_experts(in, ids, shared), 4, 1.5); },
                    {random_tensor({3, shared ? 3 : 12}, 1), random_tensor({3, 2}, 2)});
  }
}

}  // namespace
}  // namespace morex::test
