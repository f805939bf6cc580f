#include "ops/attention.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/isnan.h>
#include <ATen/ops/stack.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <limits>

#include "ops/attention_reference.h"
#include "support/golden_tensors.h"
#include "unit/ops/attention_kind.h"
#include "unit/ops/compare.h"

namespace morex::test {
namespace {

struct Shape {
  int64_t batch, heads, key_heads, length, keys, width;
};

void compare(const Shape& s, const ops::AttentionKind& kind, at::ScalarType dtype, Layout layout) {
  const double scale = 1.0 / std::sqrt(static_cast<double>(s.width));
  const OpFunction op = [&](const auto& in) {
    return ops::attention(in[0], in[1], in[2], scale, on(kind, in[0].device()));
  };
  const OpFunction reference = [&](const auto& in) {
    return ops::reference::attention(in[0], in[1], in[2], scale, kind);
  };
  compare_with_reference(op, reference,
                         {{random_tensor({s.batch, s.heads, s.length, s.width}, 1)},
                          {random_tensor({s.batch, s.key_heads, s.keys, s.width}, 2)},
                          {random_tensor({s.batch, s.key_heads, s.keys, s.width}, 3)}},
                         dtype, layout);
}

TEST(Attention, CausalMatchesReference) {
  for (const at::ScalarType dtype : all_dtypes()) {
    for (const Layout layout : all_layouts()) {
      for (const int64_t length : {0, 1, 7, 64, 257}) {
        SCOPED_TRACE("L " + std::to_string(length));
        compare({2, 4, 2, length, length, 16}, {}, dtype, layout);
      }
      compare({1, 3, 1, 70, 70, 64}, {}, dtype, layout);
      compare({1, 3, 3, 65, 65, 24}, {}, dtype, layout);
    }
  }
}

TEST(Attention, CachedQueriesMatchReference) {
  for (const at::ScalarType dtype : all_dtypes()) {
    for (const int64_t length : {1, 5, 66}) {
      SCOPED_TRACE("L " + std::to_string(length));
      compare({2, 4, 2, length, 130, 16}, {}, dtype, Layout::kContiguous);
    }
  }
}

TEST(Attention, MasksSegmentsAndWindowsMatchReference) {
  constexpr int64_t kBatch = 2, kLength = 75;
  const at::Tensor position = at::arange(kLength, at::kLong);
  const at::Tensor left_padded = at::stack({position >= 9, position >= 0});
  const at::Tensor segments = at::stack({position.floor_divide(20), position.floor_divide(33) - 1});  // -1: shared
  for (const at::ScalarType dtype : all_dtypes()) {
    for (const int64_t window : {0, 1, 10, 64, 100}) {
      for (const bool causal : {true, false}) {
        for (const bool masked : {false, true}) {
          for (const bool packed : {false, true}) {
            ops::AttentionKind kind{causal, window, {}, {}};
            if (masked) kind.key_mask = left_padded;
            if (packed) kind.segments = segments;
            for (const int64_t length : {int64_t{1}, int64_t{6}, kLength})
              compare({kBatch, 4, 2, length, kLength, 16}, kind, dtype, Layout::kContiguous);
          }
        }
      }
    }
  }
}

TEST(Attention, QueriesThatSeeNothingGiveZerosAndNoNan) {
  for (const int64_t length : {6, 70}) {  // one sequence at a time, and in blocks
    for (const at::ScalarType dtype : all_dtypes()) {
      ops::AttentionKind kind;
      kind.key_mask = at::arange(length).ge(4).unsqueeze(0);  // the first four queries see nothing
      at::Tensor q = random_tensor({1, 2, length, 8}, 1).to(dtype).requires_grad_(true);
      at::Tensor k = random_tensor({1, 1, length, 8}, 2).to(dtype).requires_grad_(true);
      at::Tensor v = random_tensor({1, 1, length, 8}, 3).to(dtype).requires_grad_(true);
      const at::Tensor out = ops::attention(q, k, v, 0.5, kind);
      EXPECT_EQ(out.narrow(2, 0, 4).abs().max().item<double>(), 0.0);
      EXPECT_GT(out.narrow(2, 4, length - 4).abs().sum(3).min().item<double>(), 0.0);
      for (const at::Tensor& g : torch::autograd::grad({out.sum()}, {q, k, v})) {
        EXPECT_TRUE(at::isfinite(g).all().item<bool>());
      }
    }
  }
}

// A broken weight must not look like a masked row.
TEST(Attention, NanInQueriesReachesTheOutput) {
  for (const int64_t length : {4, 70}) {
    for (const at::ScalarType dtype : all_dtypes()) {
      const at::Tensor k = random_tensor({1, 1, length, 8}, 2).to(dtype);
      const at::Tensor q = at::full({1, 1, length, 8}, std::nan(""), dtype);
      EXPECT_TRUE(at::isnan(ops::attention(q, k, k, 0.5, {})).all().item<bool>());
    }
  }
}

TEST(Attention, OutputIsLaidOutForTheProjectionThatFollows) {
  const at::Tensor q = random_tensor({2, 4, 9, 8}, 1), k = random_tensor({2, 2, 9, 8}, 2);
  EXPECT_TRUE(ops::attention(q, k, k, 1.0, {}).transpose(1, 2).is_contiguous());
}

// What is broken in one sequence stays there, also behind the last whole block.
TEST(Attention, NanInOneSequenceLeavesTheOthersGradients) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const auto input = [&](uint64_t seed) { return random_tensor({2, 2, 70, 16}, seed).to(dtype); };
    at::Tensor q = input(1).requires_grad_(true), k = input(2).requires_grad_(true), v = input(3).requires_grad_(true);
    const at::Tensor dout = input(4);
    dout[0].fill_(std::numeric_limits<double>::quiet_NaN());
    const auto grads = torch::autograd::grad({ops::attention(q, k, v, 0.25, {})}, {q, k, v}, {dout});
    for (const at::Tensor& grad : grads) {
      EXPECT_TRUE(grad[0].isnan().any().item<bool>()) << dtype;
      EXPECT_TRUE(grad[1].isfinite().all().item<bool>()) << dtype;
    }
  }
}

TEST(Attention, GradientsMatchCentralDifferences) {
  ops::AttentionKind kind;
  kind.key_mask = at::arange(5).ge(1).unsqueeze(0);
  check_gradients([&](const auto& in) { return ops::attention(in[0], in[1], in[2], 0.7, on(kind, in[0].device())); },
                  {random_tensor({1, 4, 3, 2}, 1), random_tensor({1, 2, 5, 2}, 2), random_tensor({1, 2, 5, 2}, 3)});
}

}  // namespace
}  // namespace morex::test
