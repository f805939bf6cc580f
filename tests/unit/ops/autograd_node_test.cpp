// The node behind every operation with a backward pass of its own.
#include "ops/autograd_node.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "base/error.h"

namespace morex::test {
namespace {

using ops::AutogradNode;
using ops::BackwardPass;
using ops::Tensors;

at::Tensor constant(double value) { return at::full({3}, value, at::kDouble); }
at::Tensor leaf(double value) { return constant(value).requires_grad_(true); }

// a·b
at::Tensor product(const at::Tensor& a, const at::Tensor& b) {
  AutogradNode node("product", {a, b});
  return node.record(a.mul(b), {a, b}, [](const BackwardPass& pass) -> Tensors {
    return {pass.wants(0) ? pass.grads[0].mul(pass.saved[1]) : at::Tensor(),
            pass.wants(1) ? pass.grads[0].mul(pass.saved[0]) : at::Tensor()};
  });
}

TEST(AutogradNode, GivesTheGradientsThatAreWanted) {
  const at::Tensor a = leaf(2), b = leaf(3), frozen = constant(5);
  const Tensors both = ops::gradients({product(a, b)}, {a, b}, {constant(1)});
  EXPECT_TRUE(at::equal(both[0], constant(3)));
  EXPECT_TRUE(at::equal(both[1], constant(2)));
  const Tensors one = ops::gradients({product(frozen, b)}, {b}, {constant(1)});
  EXPECT_TRUE(at::equal(one[0], constant(5)));
}

TEST(AutogradNode, AnAbsentInputKeepsItsPlace) {
  const at::Tensor a = leaf(2);
  AutogradNode node("absent", {at::Tensor(), a});
  EXPECT_FALSE(node.wants(0));
  EXPECT_TRUE(node.wants(1));
  const at::Tensor y = node.record(a.mul(4), {at::Tensor()}, [](const BackwardPass& pass) -> Tensors {
    EXPECT_FALSE(pass.wants(0));
    EXPECT_FALSE(pass.saved[0].defined());
    return {at::Tensor(), pass.grads[0].mul(4)};
  });
  EXPECT_TRUE(at::equal(ops::gradients({y}, {a}, {constant(1)})[0], constant(4)));
}

TEST(AutogradNode, AnOutputThatNothingReachesGetsZeros) {
  const at::Tensor a = leaf(2);
  AutogradNode node("two", {a});
  const Tensors y = node.record(Tensors{a.mul(2), a.mul(3)}, {}, [](const BackwardPass& pass) -> Tensors {
    EXPECT_TRUE(at::equal(pass.grads[1], constant(0)));
    return {pass.grads[0].mul(2).add(pass.grads[1], 3)};
  });
  EXPECT_TRUE(at::equal(ops::gradients({y[0]}, {a}, {constant(1)})[0], constant(2)));
}

TEST(AutogradNode, IntegralOutputsAreNotDifferentiable) {
  const at::Tensor a = leaf(2);
  AutogradNode node("ids", {a});
  const Tensors y = node.record(Tensors{a.mul(2), a.to(at::kLong)}, {},
                                [](const BackwardPass& pass) -> Tensors { return {pass.grads[0].mul(2)}; });
  EXPECT_TRUE(y[0].requires_grad());
  EXPECT_FALSE(y[1].requires_grad());
  EXPECT_TRUE(at::equal(ops::gradients({y[0]}, {a}, {constant(1)})[0], constant(2)));
}

TEST(AutogradNode, RecordsNothingWhereNothingCanBeDifferentiated) {
  const at::Tensor a = leaf(2);
  {
    const at::NoGradGuard no_grad;
    EXPECT_FALSE(product(a, a).requires_grad());
    EXPECT_FALSE(at::GradMode::is_enabled());
  }
  EXPECT_FALSE(product(constant(1), constant(2)).requires_grad());
  EXPECT_TRUE(at::GradMode::is_enabled());
}

TEST(AutogradNode, AnOutputMayBeSaved) {
  const at::Tensor a = leaf(2);
  AutogradNode node("exp", {a});
  const at::Tensor e = a.exp();
  const at::Tensor y =
      node.record(e, {e}, [](const BackwardPass& pass) -> Tensors { return {pass.grads[0].mul(pass.saved[0])}; });
  EXPECT_TRUE(at::equal(ops::gradients({y}, {a}, {constant(1)})[0], y.detach()));
}

TEST(AutogradNode, AnInputChangedInPlaceGoesOnAsTheOutput) {
  const auto add_twice = [](at::Tensor y, const at::Tensor& a) {
    AutogradNode node("add_twice", {y, a});
    node.changes(y);
    y.add_(a, 2);
    return node.record(y, {}, [](const BackwardPass& pass) -> Tensors {
      return {pass.grads[0], pass.grads[0].mul(2)};
    });
  };
  const at::Tensor a = leaf(2), b = leaf(3), y = product(a, b);
  const at::Tensor z = add_twice(y, a);
  EXPECT_TRUE(z.is_same(y));
  EXPECT_TRUE(at::equal(z.detach(), constant(10)));
  const Tensors grads = ops::gradients({z}, {a, b}, {constant(1)});
  EXPECT_TRUE(at::equal(grads[0], constant(5)));
  EXPECT_TRUE(at::equal(grads[1], constant(2)));
  EXPECT_ANY_THROW(add_twice(leaf(1), a)) << "a leaf's value would be lost";
}

// 2a as a node that can form it again from a, and counts how often it did.
at::Tensor doubled(const at::Tensor& a, int64_t& count) {
  AutogradNode node("doubled", {a});
  node.remakes(0, [&count](const Tensors& saved) {
    ++count;
    return saved[0].mul(2);
  });
  return node.record(a.mul(2), {a}, [](const BackwardPass& pass) -> Tensors { return {pass.grads[0].mul(2)}; });
}

// The input again, as an output beside nothing else.
at::Tensor passed(const at::Tensor& a) {
  AutogradNode node("passed", {a});
  node.passes(0, 0);
  return node.record(a.detach(), {}, [](const BackwardPass& pass) -> Tensors { return {pass.grads[0]}; });
}

TEST(AutogradNode, WhatCanBeFormedAgainIsNotKept) {
  int64_t count = 0;
  const at::Tensor a = leaf(2), b = leaf(3);
  at::Tensor x = passed(passed(doubled(a, count)));
  const c10::weak_intrusive_ptr<c10::StorageImpl> memory(x.storage().getWeakStorageImpl());
  const at::Tensor y = product(x, b);
  x.reset();
  EXPECT_TRUE(memory.expired());
  EXPECT_EQ(count, 0);
  const Tensors grads = ops::gradients({y}, {a, b}, {constant(1)});
  EXPECT_EQ(count, 1);
  EXPECT_TRUE(at::equal(grads[0], constant(6)));
  EXPECT_TRUE(at::equal(grads[1], constant(4)));
}

TEST(AutogradNode, WhatChangedSinceIsKeptAsItIs) {
  int64_t count = 0;
  const at::Tensor a = leaf(2), b = leaf(3), x = doubled(a, count);
  const at::Tensor before = product(x, b);
  {
    const at::NoGradGuard no_grad;
    x.add_(1);
  }
  const at::Tensor y = product(passed(x), b), z = product(x, b);
  EXPECT_TRUE(at::equal(ops::gradients({y}, {b}, {constant(1)})[0], constant(5)));
  EXPECT_TRUE(at::equal(ops::gradients({z}, {b}, {constant(1)})[0], constant(5)));
  EXPECT_EQ(count, 0);
  EXPECT_TRUE(at::equal(ops::gradients({before}, {b}, {constant(1)})[0], constant(4))) << "what it was when saved";
}

TEST(AutogradNode, NothingIsFormedAgainFromAFreedGraph) {
  int64_t count = 0;
  const at::Tensor a = leaf(2), b = leaf(3), x = doubled(a, count), y = product(x, b);
  x.backward(constant(1));
  EXPECT_THROW(ops::gradients({y}, {b}, {constant(1)}), Error);
  EXPECT_EQ(count, 0);
}

TEST(AutogradNode, RefusesWhatItCannotGive) {
  const at::Tensor a = leaf(2), b = leaf(3);
  at::Tensor y = product(a, b);
  {
    const at::NoGradGuard no_grad;
    b.add_(1);
  }
  EXPECT_ANY_THROW(y.backward(constant(1))) << "a saved tensor has changed";

  y = product(a, b);
  y.backward(constant(1));
  EXPECT_THROW(y.backward(constant(1)), Error) << "the graph is freed";

  y = product(a, b);
  const auto grad_with_graph = [&] { torch::autograd::grad({y}, {a}, {constant(1)}, true, /*create_graph=*/true); };
  EXPECT_THROW(grad_with_graph(), Error) << "a second derivative";
}

}  // namespace
}  // namespace morex::test
