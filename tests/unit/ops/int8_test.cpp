// Weights in eight bits: blocks, and the linear map with them.
#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/isinf.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "ops/frozen_linear.h"
#include "ops/int8_blocks.h"
#include "ops/int8_blocks_reference.h"
#include "ops/int8_linear_reference.h"
#include "ops/int8_products.h"
#include "support/golden_tensors.h"
#include "unit/ops/compare.h"

namespace morex::test {
namespace {

const std::vector<int64_t> kWidths = {1, 31, 32, 33, 100, 256};

at::Tensor dequantized(const ops::Int8Blocks& blocks) { return ops::dequantize_int8(blocks, at::kDouble); }

TEST(Int8Blocks, EveryTypeQuantizesAsTheReference) {
  for (const at::ScalarType stored : {at::kFloat, at::kBFloat16, at::kHalf, at::kDouble}) {
    for (const int64_t width : kWidths) {
      SCOPED_TRACE(width);
      const at::Tensor w = random_tensor({7, width}, 1, 0.02).to(stored);
      const ops::Int8Blocks blocks = ops::quantize_int8(w), expected = ops::reference::quantize_int8(w);
      EXPECT_TRUE(same_bits(blocks.scales, expected.scales));
      EXPECT_TRUE(same_bits(blocks.values, expected.values));
      EXPECT_EQ(blocks.scales.size(1), (width + 31) / 32);
    }
  }
}

TEST(Int8Blocks, NoElementIsFartherThanHalfAScale) {
  const at::Tensor w = random_tensor({300, 5000}, 2, 0.02).to(at::kFloat);  // several pieces
  const ops::Int8Blocks blocks = ops::quantize_int8(w);
  const at::Tensor error = (dequantized(blocks) - w.to(at::kDouble)).abs();
  const at::Tensor scales = blocks.scales.to(at::kDouble).repeat_interleave(32, 1).narrow(1, 0, 5000);
  EXPECT_LE((error / scales).max().item<double>(), 0.5 * (1 + 1e-5));
  EXPECT_GT((error / scales).max().item<double>(), 0.49);
  EXPECT_EQ(blocks.values.abs().max().item<int64_t>(), 127);
}

TEST(Int8Blocks, BlocksOnTheGridComeBackAsTheyWere) {
  at::Tensor values = (random_tensor({5, 96}, 3) * 40).round().clamp(-127, 127).to(at::kChar);
  values.select(1, 3).fill_(127);
  values.select(1, 40).fill_(-127);
  values.select(1, 95).fill_(127);
  const ops::Int8Blocks blocks{values, random_tensor({5, 3}, 4, 0.01).abs().to(at::kHalf)};
  const ops::Int8Blocks again = ops::quantize_int8(ops::dequantize_int8(blocks, at::kFloat));
  EXPECT_TRUE(same_bits(again.values, values));
  EXPECT_TRUE(same_bits(again.scales, blocks.scales));
}

TEST(Int8Blocks, ZerosTinyAndHugeNumbers) {
  const ops::Int8Blocks zeros = ops::quantize_int8(at::zeros({2, 40}));
  EXPECT_TRUE(near(dequantized(zeros), at::zeros({2, 40}), 0.0));
  for (const double tiny : {1e-9, 1e-7, 1e-5, 2e-4}) {
    const at::Tensor w = random_tensor({4, 64}, 5, tiny);
    EXPECT_TRUE(near(dequantized(ops::quantize_int8(w)), w, 4e-6)) << tiny;
  }
  EXPECT_TRUE(near(dequantized(ops::quantize_int8(at::full({1, 32}, 8e6))), at::full({1, 32}, 8e6), 4e3));
  EXPECT_TRUE(at::isinf(ops::quantize_int8(at::full({1, 32}, 9e6)).scales).all().item<bool>());
}

TEST(Int8Blocks, APartOfTheMatrixIsThatOfTheReference) {
  const ops::Int8Blocks blocks = ops::quantize_int8(random_tensor({9, 150}, 6));
  for (const at::ScalarType dtype : all_dtypes()) {
    const at::Tensor whole = ops::reference::dequantize_int8(blocks, dtype);
    EXPECT_TRUE(same_bits(ops::dequantize_int8(blocks, dtype), whole));
    EXPECT_TRUE(same_bits(ops::dequantize_int8_rows(blocks, 2, 3, dtype), whole.narrow(0, 2, 3)));
    const at::Tensor part = at::empty({4, 86}, dtype);
    ops::dequantize_into(part, blocks, 5, 64);
    EXPECT_TRUE(same_bits(part, whole.narrow(0, 5, 4).narrow(1, 64, 86).contiguous()));
  }
}

at::Tensor linear(const at::Tensor& x, const ops::Int8Blocks& w) {
  return ops::frozen_linear(x, ops::MapWeight{w.values, false, w.scales});
}

struct Shape {
  int64_t out, in;
};

TEST(Int8Linear, MatchesReference) {
  for (const Shape& shape : {Shape{96, 128}, Shape{5, 33}, Shape{1, 1}}) {
    const ops::Int8Blocks w = ops::quantize_int8(random_tensor({shape.out, shape.in}, 2, 0.1));
    const OpFunction op = [&](const auto& in) { return linear(in[0], w); };
    const OpFunction reference = [&](const auto& in) { return ops::reference::int8_linear(in[0], w); };
    for (const at::ScalarType dtype : all_dtypes()) {
      for (const Layout layout : all_layouts()) {
        for (const int64_t t : {0, 1, 3, 7, 64, 257}) {
          SCOPED_TRACE(case_name(dtype, layout) + " T " + std::to_string(t));
          compare_with_reference(op, reference, {{random_tensor({t, shape.in}, 1)}}, dtype, layout);
        }
      }
    }
  }
}

// More elements than a tile holds, in both directions, and a rest.
TEST(Int8Linear, TilesMakeOneProduct) {
  for (const Shape& shape : {Shape{1300, 900}, Shape{900, 1300}, Shape{2, 530000}, Shape{33000, 33}}) {
    ASSERT_GT(shape.out * shape.in, ops::kInt8TileElements);
    const ops::Int8Blocks w = ops::quantize_int8(random_tensor({shape.out, shape.in}, 2, 0.02));
    const OpFunction op = [&](const auto& in) { return linear(in[0], w); };
    const OpFunction reference = [&](const auto& in) { return ops::reference::int8_linear(in[0], w); };
    const double slack = shape.in > 100000 ? 10.0 : 1.0;
    for (const at::ScalarType dtype : all_dtypes()) {
      for (const int64_t t : {2, 9}) {
        SCOPED_TRACE(std::to_string(shape.out) + "x" + std::to_string(shape.in) + " T " + std::to_string(t));
        compare_with_reference(op, reference, {{random_tensor({t, shape.in}, 1)}}, dtype, Layout::kContiguous, slack);
      }
    }
  }
}

// A group: maps in eight bits and a plain one read x, and so does somebody else.
TEST(Int8Linear, MapsThatShareAnInputSumItsGradient) {
  const ops::Int8Blocks first = ops::quantize_int8(random_tensor({48, 70}, 2, 0.1)),
                        second = ops::quantize_int8(random_tensor({33, 70}, 3, 0.1));
  const at::Tensor plain = random_tensor({20, 70}, 4, 0.1);
  const OpFunction op = [&](const auto& in) {
    const auto there = [&](const at::Tensor& t) { return t.to(in[0].device()); };
    const at::Tensor x = ops::shared_input(in[0]);
    const std::vector<at::Tensor> y = ops::frozen_linears(x, {{plain.to(in[0].options())},
                                                              {there(first.values), false, there(first.scales)},
                                                              {there(second.values), false, there(second.scales)}});
    return at::cat({y[0], y[1], y[2], x}, 1);
  };
  const OpFunction reference = [&](const auto& in) {
    const at::Tensor w = plain.to(in[0].scalar_type());
    return at::cat({at::mm(in[0], w.t()), ops::reference::int8_linear(in[0], first),
                    ops::reference::int8_linear(in[0], second), in[0]},
                   1);
  };
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble}) {
    for (const int64_t t : {1, 30}) {
      compare_with_reference(op, reference, {{random_tensor({t, 70}, 1)}}, dtype, Layout::kContiguous);
    }
  }
}

TEST(Int8Linear, GradientIsThatOfCentralDifferences) {
  const ops::Int8Blocks w = ops::quantize_int8(random_tensor({6, 40}, 2));
  check_gradients([&](const auto& in) { return linear(in[0], w); }, {random_tensor({3, 40}, 1)});
}

TEST(Int8Linear, SavesNoActivation) {
  at::Tensor x = random_tensor({64, 128}, 1).to(at::kFloat).requires_grad_(true);
  const ops::Int8Blocks w = ops::quantize_int8(random_tensor({96, 128}, 2));
  at::Tensor inner = x * 2.0;
  const c10::weak_intrusive_ptr<c10::TensorImpl> watched(inner.getIntrusivePtr());
  const at::Tensor y = linear(inner, w);
  inner.reset();
  EXPECT_TRUE(watched.expired());
  EXPECT_TRUE(y.requires_grad());
}

}  // namespace
}  // namespace morex::test
