#include "nn/parameter_store.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "ops/frozen_linear.h"
#include "ops/low_rank.h"
#include "support/golden_tensors.h"

namespace morex::test {
namespace {

nn::ParameterStore two_leaves(at::ScalarType dtype) {
  nn::ParameterStore store;
  store.declare("ag", {3, 5});
  store.declare("b", {3, 7}, {16.0, false, 0, 4});
  store.allocate(dtype, at::kCPU);
  return store;
}

TEST(ParameterStore, LaysLeavesOutInOneAlignedBuffer) {
  const nn::ParameterStore store = two_leaves(at::kFloat);
  EXPECT_EQ(store.leaves()[0].offset, 0);
  EXPECT_EQ(store.leaves()[1].offset, 16);
  EXPECT_EQ(store.size(), 48);
  EXPECT_EQ(store.parameter_count(), 36);
  EXPECT_EQ(store.leaves()[1].segments.front().options.lr_factor, 16.0);
  EXPECT_EQ(store.dtype(), at::kFloat);
  EXPECT_TRUE(store.leaf(0).is_leaf());
  EXPECT_TRUE(store.leaf(0).requires_grad());
  const at::NoGradGuard no_grad;
  store.leaf(1).fill_(2.0);
  EXPECT_EQ(store.values().sum().item<double>(), 42.0);
  store.values().zero_();
  EXPECT_EQ(store.leaf(1).sum().item<double>(), 0.0);
}

TEST(ParameterStore, RowsOfALeafMayHaveSettingsOfTheirOwn) {
  nn::LeafOptions router;
  router.lr_factor = 3.0;
  router.frozen_from = 2;
  router.frozen_until = 4;
  nn::ParameterStore store;
  store.declare("other", {3});
  store.declare("ag", {6, 5}, std::vector<nn::LeafRows>{{2, {}}, {1, {}}, {0, router}, {3, router}});
  store.allocate(at::kDouble, at::kCPU);
  const std::vector<nn::Segment>& parts = store.leaves()[1].segments;
  ASSERT_EQ(parts.size(), 2U);  // equal neighbours are one
  EXPECT_EQ(parts[0].offset, 16);
  EXPECT_EQ(parts[0].size, 15);
  EXPECT_EQ(parts[1].offset, 31);
  EXPECT_EQ(parts[1].size, 15);
  EXPECT_EQ(parts[1].options.lr_factor, 3.0);
  EXPECT_FALSE(store.leaves()[1].frozen(2)) << "its first rows are not";

  store.grads().fill_(1.0);
  for (const int64_t step : {1, 4}) {
    store.zero_frozen_grads(step);
    EXPECT_EQ(store.leaf(1).grad().sum().item<double>(), 30.0);
  }
  store.zero_frozen_grads(3);
  EXPECT_EQ(store.leaf(0).grad().sum().item<double>(), 3.0);
  EXPECT_EQ(store.leaf(1).grad().narrow(0, 0, 3).sum().item<double>(), 15.0);
  EXPECT_EQ(store.leaf(1).grad().narrow(0, 3, 3).abs().sum().item<double>(), 0.0);
}

// The gradient of every leaf must go on being the view into the flat buffer: the optimiser reads nothing else.
TEST(ParameterStore, AutogradAccumulatesIntoTheFlatGradientInPlace) {
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble}) {
    nn::ParameterStore store = two_leaves(dtype);
    const void* memory[] = {store.leaf(0).grad().data_ptr(), store.leaf(1).grad().data_ptr()};
    const at::Tensor x = at::ones({4, 5}, dtype);
    {
      const at::NoGradGuard no_grad;
      store.values().fill_(0.5);
    }
    const auto backward = [&] {
      const at::Tensor z = ops::down(x, store.leaf(0));
      ops::accumulate_up(at::zeros({4, 7}, dtype), z, store.leaf(1)).sum().backward();
    };
    backward();
    const at::Tensor once = store.grads().clone();
    EXPECT_GT(once.abs().sum().item<double>(), 0.0);
    backward();
    EXPECT_TRUE(near(store.grads(), once * 2, 1e-6));
    store.zero_grads();
    EXPECT_EQ(store.grads().abs().sum().item<double>(), 0.0);
    backward();
    EXPECT_TRUE(same_bits(store.grads(), once));
    for (int64_t i = 0; i < 2; ++i) {
      EXPECT_EQ(store.leaf(i).grad().data_ptr(), memory[i]);
      const nn::Leaf& leaf = store.leaves()[static_cast<size_t>(i)];
      EXPECT_TRUE(same_bits(store.leaf(i).grad().reshape(-1), store.grads().narrow(0, leaf.offset, leaf.size)));
    }
  }
}

// Plain ATen operations hand over gradients that autograd would like to keep instead of adding.
TEST(ParameterStore, GradientsOfPlainOperationsDoNotReplaceTheView) {
  nn::ParameterStore store = two_leaves(at::kFloat);
  const void* memory = store.leaf(0).grad().data_ptr();
  for (int i = 0; i < 2; ++i) {
    store.zero_grads();
    (store.leaf(0).t() * 3.0).sum().backward();           // an expanded, transposed gradient
    (store.leaf(0).select(0, 1) * 2.0).sum().backward();  // a gradient of a part
    EXPECT_EQ(store.leaf(0).grad().data_ptr(), memory);
    EXPECT_EQ(store.grads().sum().item<double>(), 3.0 * 15 + 2.0 * 5);
  }
}

TEST(ParameterStore, Bfloat16ActivationsGiveFloat32Gradients) {
  nn::ParameterStore store = two_leaves(at::kFloat);
  const void* memory = store.leaf(0).grad().data_ptr();
  ops::frozen_linear(at::ones({4, 5}, at::kBFloat16), store.leaf(0)).sum().backward();
  EXPECT_EQ(store.leaf(0).grad().data_ptr(), memory);
  EXPECT_EQ(store.grads().sum().item<double>(), 4.0 * 15);
}

TEST(ParameterStore, NamedViewsShareMemoryWithValueAndGradient) {
  nn::ParameterStore store;
  const int64_t leaf = store.declare("b", {3, 7});
  store.add_view({"b.weight", leaf, [](const at::Tensor& t) { return t.narrow(0, 1, 2).t(); }});
  store.allocate(at::kFloat, at::kCPU);
  store.named_value(store.views()[0]).fill_(1.0);
  store.named_grad(store.views()[0]).fill_(2.0);
  EXPECT_EQ(store.named_value(store.views()[0]).sizes(), (std::vector<int64_t>{7, 2}));
  EXPECT_FALSE(store.named_value(store.views()[0]).requires_grad());
  EXPECT_EQ(store.values().sum().item<double>(), 14.0);
  EXPECT_EQ(store.grads().sum().item<double>(), 28.0);
}

TEST(ParameterStore, WorksOnTheMetaDeviceAndWithoutLeaves) {
  nn::ParameterStore meta;
  meta.declare("a", {1000, 1000});
  meta.allocate(at::kFloat, at::kMeta);
  meta.zero_grads();
  EXPECT_EQ(meta.parameter_count(), 1000000);
  nn::ParameterStore empty;
  empty.allocate(at::kFloat, at::kCPU);
  EXPECT_EQ(empty.size(), 0);
  EXPECT_TRUE(empty.allocated());
}

}  // namespace
}  // namespace morex::test
