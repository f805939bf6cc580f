#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "base/error.h"
#include "ops/linear_cross_entropy.h"
#include "ops/linear_cross_entropy_reference.h"
#include "support/golden_tensors.h"
#include "unit/ops/compare.h"

namespace morex::test {
namespace {

at::Tensor targets_for(int64_t rows, int64_t classes, bool some_ignored) {
  at::Tensor t = at::arange(rows, at::kLong).mul(7).remainder(classes);
  if (some_ignored && rows > 0) t.masked_fill_(at::arange(rows).remainder(3).eq(0), ops::kIgnoredTarget);
  return t;
}

at::Tensor class_ids(std::vector<int64_t> ids) { return at::tensor(ids, at::kLong); }

TEST(LinearCrossEntropy, MatchesReference) {
  constexpr int64_t kWidth = 32, kClasses = 300;
  for (const bool transposed : {false, true}) {
    for (const bool ignored : {false, true}) {
      for (const int64_t rows : {0, 1, 7, 64, 257}) {
        const at::Tensor targets = targets_for(rows, kClasses, ignored);
        const OpFunction op = [&](const auto& in) {
          return ops::linear_cross_entropy(in[0], in[1], targets.to(in[0].device()), transposed);
        };
        const OpFunction reference = [&](const auto& in) {
          return ops::reference::linear_cross_entropy(in[0], in[1], targets, transposed);
        };
        const at::Tensor w =
            random_tensor(transposed ? at::IntArrayRef{kWidth, kClasses} : at::IntArrayRef{kClasses, kWidth}, 2, 0.3);
        for (const at::ScalarType dtype : all_dtypes()) {
          for (const Layout layout : all_layouts()) {
            for (const bool trainable : {false, true}) {
              SCOPED_TRACE("rows " + std::to_string(rows) + (ignored ? " ignored" : ""));
              compare_with_reference(op, reference, {{random_tensor({rows, kWidth}, 1)}, {w, trainable}}, dtype,
                                     layout);
            }
          }
        }
      }
    }
  }
}

TEST(LinearCrossEntropy, ManyChunksMatchReference) {
  // [300, 60000] logits take two chunks.
  const at::Tensor targets = targets_for(300, 60000, false);
  const OpFunction op = [&](const auto& in) {
    return ops::linear_cross_entropy(in[0], in[1], targets.to(in[0].device()));
  };
  const OpFunction reference = [&](const auto& in) {
    return ops::reference::linear_cross_entropy(in[0], in[1], targets);
  };
  compare_with_reference(op, reference, {{random_tensor({300, 16}, 1)}, {random_tensor({60000, 16}, 2, 0.3)}},
                         at::kFloat, Layout::kContiguous);
}

TEST(LinearCrossEntropy, Float32LeafUnderBfloat16ActivationsGetsFloat32Gradient) {
  const at::Tensor targets = targets_for(40, 50, true);
  const OpFunction op = [&](const auto& in) {
    return ops::linear_cross_entropy(in[0], in[1], targets.to(in[0].device()));
  };
  const OpFunction reference = [&](const auto& in) {
    return ops::reference::linear_cross_entropy(in[0], in[1], targets);
  };
  compare_with_reference(
      op, reference, {{random_tensor({40, 16}, 1)}, {random_tensor({50, 16}, 2).to(at::kFloat), true, false, false}},
      at::kBFloat16, Layout::kContiguous);
}

TEST(LinearCrossEntropy, FromLogitsMatchesReferenceAndLeavesThemAlone) {
  for (const at::ScalarType dtype : all_dtypes()) {
    for (const Layout layout : all_layouts()) {
      for (const bool ignored : {false, true}) {
        const at::Tensor targets = targets_for(64, 90, ignored);
        const OpFunction op = [&](const auto& in) { return ops::cross_entropy_sum(in[0], targets.to(in[0].device())); };
        const OpFunction reference = [&](const auto& in) { return ops::reference::cross_entropy_sum(in[0], targets); };
        compare_with_reference(op, reference, {{random_tensor({64, 90}, 1, 3.0)}}, dtype, layout);
      }
    }
  }
  const at::Tensor logits = random_tensor({8, 5}, 1).to(at::kFloat), before = logits.clone();
  ops::cross_entropy_sum(logits, targets_for(8, 5, false));
  EXPECT_TRUE(same_bits(logits, before));
}

TEST(LinearCrossEntropy, LargeLogitsStayFinite) {
  at::Tensor h = at::full({2, 1}, 1e4, at::kFloat).requires_grad_(true);
  const at::Tensor w = at::arange(5).to(at::kFloat).unsqueeze(1);
  const at::Tensor loss = ops::linear_cross_entropy(h, w, class_ids({4, 3}));
  EXPECT_NEAR(loss.item<double>(), 1e4, 1.0);
  EXPECT_TRUE(at::isfinite(torch::autograd::grad({loss}, {h})[0]).all().item<bool>());
}

TEST(LinearCrossEntropy, GradientsMatchCentralDifferences) {
  const at::Tensor targets = class_ids({2, ops::kIgnoredTarget, 0});
  check_gradients([&](const auto& in) { return ops::linear_cross_entropy(in[0], in[1], targets.to(in[0].device())); },
                  {random_tensor({3, 4}, 1), random_tensor({5, 4}, 2)});
  check_gradients([&](const auto& in) { return ops::cross_entropy_sum(in[0], targets.to(in[0].device())); },
                  {random_tensor({3, 5}, 1)});
}

TEST(LinearCrossEntropy, TargetOutsideTheClassesIsAnError) {
  const at::Tensor h = random_tensor({2, 3}, 1), w = random_tensor({4, 3}, 2);
  EXPECT_THROW(ops::linear_cross_entropy(h, w, class_ids({0, 4})), Error);
  EXPECT_THROW(ops::cross_entropy_sum(h, class_ids({0, -1})), Error);
}

}  // namespace
}  // namespace morex::test
