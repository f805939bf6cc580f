// rms_norm, add_rms_norm, rope, swiglu and dropout.
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "ops/add_rms_norm.h"
#include "ops/autograd_node.h"
#include "ops/dropout.h"
#include "ops/dropout_reference.h"
#include "ops/grid_rows.h"
#include "ops/rms_norm.h"
#include "ops/rms_norm_reference.h"
#include "ops/rope.h"
#include "ops/rope_reference.h"
#include "ops/swiglu.h"
#include "ops/swiglu_reference.h"
#include "ops/wide.h"
#include "support/golden_tensors.h"
#include "unit/ops/compare.h"

namespace morex::test {
namespace {

const std::vector<int64_t> kRows = {0, 1, 7, 64, 257};

// What a node that saved t finds in its backward pass after all other handles of t have gone, and whether t's memory
// had gone with them.
struct Saved {
  at::Tensor found;
  bool formed_again;
};
Saved as_saved(at::Tensor t) {
  Saved saved;
  const auto sum_of = [&saved](const at::Tensor& x) {
    ops::AutogradNode node("saving", {x});
    return node.record(x.detach().sum(), {x}, [&saved](const ops::BackwardPass& pass) -> ops::Tensors {
      saved.found = pass.saved[0];
      return {at::Tensor()};
    });
  };
  const at::Tensor sum = sum_of(t);
  const c10::weak_intrusive_ptr<c10::StorageImpl> memory(t.storage().getWeakStorageImpl());
  t.reset();
  saved.formed_again = memory.expired();
  sum.backward();
  return saved;
}

TEST(RmsNorm, MatchesReference) {
  const OpFunction op = [](const auto& in) { return ops::rms_norm(in[0], in[1], 1e-5); };
  const OpFunction reference = [](const auto& in) { return ops::reference::rms_norm(in[0], in[1], 1e-5); };
  for (const at::ScalarType dtype : all_dtypes()) {
    for (const Layout layout : all_layouts()) {
      for (const int64_t t : kRows) {
        SCOPED_TRACE("T " + std::to_string(t));
        for (const bool trainable : {false, true}) {
          compare_with_reference(op, reference, {{random_tensor({t, 72}, 1)}, {random_tensor({72}, 2), trainable}},
                                 dtype, layout);
        }
      }
    }
  }
}

TEST(RmsNorm, Bfloat16RoundsWhereTheReferenceRounds) {
  const at::Tensor x = random_tensor({64, 576}, 1).to(at::kBFloat16), w = random_tensor({576}, 2).to(at::kBFloat16);
  EXPECT_TRUE(near(ops::rms_norm(x, w, 1e-5), ops::reference::rms_norm(x, w, 1e-5), 0.0, 1.0 / 128));
  const at::Tensor equal = ops::rms_norm(x, w, 1e-5).eq(ops::reference::rms_norm(x, w, 1e-5));
  EXPECT_GT(equal.to(at::kDouble).mean().item<double>(), 0.99);
}

TEST(RmsNorm, GradientsMatchCentralDifferences) {
  check_gradients([](const auto& in) { return ops::rms_norm(in[0], in[1], 1e-5); },
                  {random_tensor({3, 5}, 1), random_tensor({5}, 2)});
}

// Both results side by side, so that both send a gradient back.
at::Tensor side_by_side(const ops::StreamAndNorm& x) { return at::cat({x.stream, x.normed}, 1); }

const OpFunction kAddRmsNorm = [](const auto& in) {
  return side_by_side(ops::add_rms_norm(in[0], in[1], in[2], 1e-5));
};

TEST(AddRmsNorm, MatchesReference) {
  const OpFunction reference = [](const auto& in) {
    return side_by_side(ops::reference::add_rms_norm(in[0], in[1], in[2], 1e-5));
  };
  for (const at::ScalarType dtype : all_dtypes()) {
    for (const Layout layout : all_layouts()) {
      for (const int64_t t : kRows) {
        SCOPED_TRACE("T " + std::to_string(t));
        for (const bool trainable : {false, true}) {
          for (const bool wide : {false, true}) {  // the stream, as the first step gives it and as the later ones do
            at::Tensor stream = random_tensor({t, 72}, 1);
            if (wide) stream = stream.to(dtype == at::kDouble ? at::kDouble : at::kFloat);
            for (const bool stream_grad : {false, true}) {
              compare_with_reference(
                  kAddRmsNorm, reference,
                  {{stream, stream_grad, !wide}, {random_tensor({t, 72}, 2)}, {random_tensor({72}, 3), trainable}},
                  dtype, layout);
            }
          }
        }
      }
    }
  }
}

TEST(AddRmsNorm, StreamOfABfloat16ModelIsNotRounded) {
  const at::Tensor stream = random_tensor({64, 576}, 1).to(at::kFloat);
  const at::Tensor delta = random_tensor({64, 576}, 2).to(at::kBFloat16), w = random_tensor({576}, 3).to(at::kBFloat16);
  const ops::StreamAndNorm got = ops::add_rms_norm(stream, delta, w, 1e-5);
  EXPECT_TRUE(at::equal(got.stream, stream + delta.to(at::kFloat)));
  EXPECT_EQ(got.normed.scalar_type(), at::kBFloat16);
}

TEST(AddRmsNorm, GivesTheSameWithAndWithoutAGraph) {
  for (const at::ScalarType dtype : all_dtypes()) {
    const at::Tensor stream = random_tensor({33, 96}, 1).to(dtype), delta = random_tensor({33, 96}, 2).to(dtype);
    const at::Tensor w = random_tensor({96}, 3).to(dtype);
    const ops::StreamAndNorm plain = ops::add_rms_norm(stream, delta, w, 1e-5);
    const ops::StreamAndNorm recorded = ops::add_rms_norm(stream, delta.clone().requires_grad_(true), w, 1e-5);
    EXPECT_TRUE(at::equal(plain.stream, recorded.stream.detach()));
    EXPECT_TRUE(at::equal(plain.normed, recorded.normed.detach()));
  }
}

TEST(AddRmsNorm, FormsItsRowsAgainToTheBit) {
  for (const at::ScalarType dtype : all_dtypes()) {
    const at::Tensor stream = random_tensor({33, 96}, 1).to(dtype), w = random_tensor({96}, 3).to(dtype);
    const at::Tensor delta = random_tensor({33, 96}, 2).to(dtype).requires_grad_(true);
    const at::Tensor normed = ops::add_rms_norm(stream, delta, w, 1e-5).normed.detach();
    const Saved saved = as_saved(ops::add_rms_norm(stream, delta, w, 1e-5).normed);
    EXPECT_TRUE(at::equal(normed, saved.found)) << dtype;
    EXPECT_EQ(saved.formed_again, dtype != at::kBFloat16) << dtype;
  }
}

TEST(AddRmsNorm, GradientsMatchCentralDifferences) {
  check_gradients(kAddRmsNorm, {random_tensor({3, 5}, 1), random_tensor({3, 5}, 2), random_tensor({5}, 3)});
}

TEST(Dropout, InPlaceIsOneMaskForAll) {
  const RandomKey key{7, stream_id("dropout"), 3};
  for (const at::ScalarType dtype : all_dtypes()) {
    const at::Tensor x = random_tensor({33, 300}, 1).to(dtype), y = random_tensor({33, 300}, 2).to(dtype);
    const at::Tensor x_in = x.clone(), y_in = y.clone();
    ops::drop_in_place({x_in, y_in}, 0.3, key);
    const at::Tensor kept = ops::dropout_mask(x.sizes(), 0.3, key);
    EXPECT_TRUE(at::equal(x_in, x.masked_fill(~kept, 0)));
    EXPECT_TRUE(at::equal(y_in, y.masked_fill(~kept, 0)));
    const at::Tensor scaled = x.to(ops::wide_type(dtype)).mul(ops::dropout_factor(0.3));
    EXPECT_TRUE(at::equal(scaled.masked_fill(~kept, 0).to(dtype), ops::dropout(x, 0.3, key)));
    ops::drop_in_place({y_in}, 0.0, key);
    EXPECT_TRUE(at::equal(y_in, y.masked_fill(~kept, 0)));
  }
}

TEST(Dropout, FormsItsRowsAgainToTheBit) {
  const RandomKey key{7, stream_id("dropout"), 3};
  for (const at::ScalarType dtype : all_dtypes()) {
    const at::Tensor x = random_tensor({33, 97}, 1).to(dtype).requires_grad_(true);
    const Saved saved = as_saved(ops::dropout(x, 0.3, key));
    EXPECT_TRUE(at::equal(ops::dropout(x, 0.3, key).detach(), saved.found)) << dtype;
    EXPECT_TRUE(saved.formed_again) << dtype;
  }
}

TEST(GridRows, MoveAsIndexOperationsMoveThem) {
  const at::Tensor places = at::tensor({0, 1, 4, 6}, at::kLong);
  for (const at::ScalarType dtype : all_dtypes())
    for (const Layout layout : all_layouts()) {
      compare_with_reference([&](const auto& in) { return ops::to_grid(in[0], places.to(in[0].device()), 8); },
                             [&](const auto& in) {
                               return at::zeros({8, in[0].size(1)}, in[0].options()).index_copy(0, places, in[0]);
                             },
                             {{random_tensor({4, 6}, 1)}}, dtype, layout);
      compare_with_reference([&](const auto& in) { return ops::from_grid(in[0], places.to(in[0].device())); },
                             [&](const auto& in) { return in[0].index_select(0, places); },
                             {{random_tensor({8, 6}, 1)}}, dtype, layout);
    }
}

at::Tensor angles(at::IntArrayRef shape, uint64_t seed) { return random_tensor(shape, seed); }

TEST(Rope, MatchesReferenceForEveryTableForm) {
  constexpr int64_t kBatch = 3, kHeads = 2, kWidth = 8;
  for (const at::ScalarType dtype : all_dtypes()) {
    for (const Layout layout : all_layouts()) {
      for (const int64_t l : kRows) {
        for (const std::vector<int64_t>& table :
             std::vector<std::vector<int64_t>>{{l, kWidth}, {kBatch * l, kWidth}, {kBatch, l, kWidth}}) {
          SCOPED_TRACE("L " + std::to_string(l) + " table " + std::to_string(table.size()));
          const at::Tensor angle = angles(table, 5);
          const OpFunction op = [&](const auto& in) { return ops::rope(in[0].transpose(1, 2), in[1], in[2]); };
          const OpFunction reference = [&](const auto& in) {
            return ops::reference::rope(in[0].transpose(1, 2), in[1], in[2]);
          };
          compare_with_reference(op, reference,
                                 {{random_tensor({kBatch, l, kHeads, kWidth}, 1)},
                                  {angle.cos(), false, true, false},
                                  {angle.sin(), false, true, false}},
                                 dtype, layout);
        }
      }
    }
  }
}

TEST(Rope, GradientIsLaidOutAsTheProjection) {
  at::Tensor x = random_tensor({2, 5, 3, 8}, 1).requires_grad_(true);
  const at::Tensor angle = angles({5, 8}, 2);
  const at::Tensor y = ops::rope(x.transpose(1, 2), angle.cos(), angle.sin());
  EXPECT_TRUE(y.is_contiguous());
  const at::Tensor dx = torch::autograd::grad({y.sum()}, {x})[0];
  EXPECT_TRUE(dx.is_contiguous());
}

TEST(Rope, GradientsMatchCentralDifferences) {
  const at::Tensor angle = angles({3, 4}, 2);  // halves unequal: the transposed rotation, not only the inverse one
  check_gradients(
      [&](const auto& in) { return ops::rope(in[0], angle.cos().to(in[0].device()), angle.sin().to(in[0].device())); },
      {random_tensor({2, 2, 3, 4}, 1)});
}

TEST(Swiglu, MatchesReference) {
  for (const ops::Activation activation :
       {ops::Activation::kSilu, ops::Activation::kGelu, ops::Activation::kGeluTanh, ops::Activation::kRelu}) {
    const OpFunction op = [&](const auto& in) { return ops::swiglu(in[0], in[1], activation); };
    const OpFunction reference = [&](const auto& in) { return ops::reference::swiglu(in[0], in[1], activation); };
    for (const at::ScalarType dtype : all_dtypes()) {
      for (const Layout layout : all_layouts()) {
        for (const int64_t t : kRows) {
          SCOPED_TRACE("T " + std::to_string(t) + " activation " + std::to_string(static_cast<int>(activation)));
          compare_with_reference(op, reference, {{random_tensor({t, 200}, 1, 2.0)}, {random_tensor({t, 200}, 2)}},
                                 dtype, layout);
        }
      }
    }
    check_gradients(op, {random_tensor({3, 5}, 1), random_tensor({3, 5}, 2)});
  }
}

TEST(Swiglu, FormsItsRowsAgainToTheBit) {
  for (const at::ScalarType dtype : all_dtypes()) {
    for (const Layout layout : all_layouts()) {
      const at::Tensor gate = laid_out(random_tensor({33, 96}, 1).to(dtype), layout).requires_grad_(true);
      const at::Tensor up = laid_out(random_tensor({33, 96}, 2).to(dtype), layout);
      const Saved saved = as_saved(ops::swiglu(gate, up));
      EXPECT_TRUE(at::equal(ops::swiglu(gate, up).detach(), saved.found)) << dtype;
      EXPECT_EQ(saved.formed_again, dtype != at::kBFloat16) << dtype;
    }
  }
}

TEST(Dropout, MatchesReferenceGivenItsMask) {
  const RandomKey key{7, stream_id("dropout"), 3};
  for (const at::ScalarType dtype : all_dtypes()) {
    for (const Layout layout : all_layouts()) {
      for (const int64_t t : kRows) {
        SCOPED_TRACE("T " + std::to_string(t));
        const at::Tensor kept = ops::dropout_mask({t, 33}, 0.375, key);
        const OpFunction op = [&](const auto& in) { return ops::dropout(in[0], 0.375, key); };
        const OpFunction reference = [&](const auto& in) { return ops::reference::dropout(in[0], 0.375, kept); };
        compare_with_reference(op, reference, {{random_tensor({t, 33}, 1)}}, dtype, layout);
      }
    }
  }
}

TEST(Dropout, KeepsTheExpectedShareAndTheSameElementsWhateverTheThreads) {
  const RandomKey key{7, stream_id("dropout"), 3};
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const at::Tensor one = ops::dropout_mask({300, 401}, 0.25, key);
  at::set_num_threads(2);
  const at::Tensor two = ops::dropout_mask({300, 401}, 0.25, key);
  at::set_num_threads(threads);
  EXPECT_TRUE(at::equal(one, two));
  EXPECT_NEAR(one.to(at::kDouble).mean().item<double>(), 0.75, 0.01);
  EXPECT_FALSE(at::equal(one, ops::dropout_mask({300, 401}, 0.25, {7, stream_id("dropout"), 4})));
  // A prefix of a longer tensor has the same mask: it depends on the element's index alone.
  EXPECT_TRUE(at::equal(one.narrow(0, 0, 10), ops::dropout_mask({10, 401}, 0.25, key)));
}

TEST(Dropout, TheMaskIsPhiloxHalfWordByHalfWord) {
  const RandomKey key{7, stream_id("dropout"), (uint64_t{5} << 32) + 3};
  constexpr int64_t kElements = 1000;
  const at::Tensor kept = ops::dropout_mask({kElements}, 0.25, key);
  for (int64_t i = 0; i < kElements; ++i) {
    const int64_t group = i / 128, half = i % 128 / 64, word = i % 64 / 16, lane = i % 16;
    const auto words = random_block(key, static_cast<uint64_t>(16 * group + lane));
    const uint32_t bits = words[static_cast<size_t>(word)] >> (16 * half) & 0xffff;
    ASSERT_EQ(kept.const_data_ptr<bool>()[i], bits >= 16384) << i;
  }
}

TEST(Dropout, ZeroProbabilityIsTheInputItself) {
  const at::Tensor x = random_tensor({3, 4}, 1);
  EXPECT_TRUE(ops::dropout(x, 0.0, {}).is_same(x));
}

}  // namespace
}  // namespace morex::test
