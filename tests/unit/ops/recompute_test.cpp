// Computations that keep their inputs only and run again in the backward pass.
#include "ops/recompute.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace morex::test {
namespace {

using ops::Tensors;

at::Tensor constant(double value) { return at::full({3}, value, at::kDouble); }
at::Tensor leaf(double value) { return constant(value).requires_grad_(true); }

// x -> (x·w, 3·x) with a parameter beside it; counts its runs.
struct Body {
  at::Tensor w;
  int* runs;
  Tensors operator()(const Tensors& inputs) const {
    ++*runs;
    return {inputs[0].mul(w), inputs[0].mul(3)};
  }
};

TEST(Recompute, GivesTheGradientsOfInputsAndOfParametersBesideThem) {
  const at::Tensor x = leaf(2), w = leaf(5);
  int runs = 0;
  const Body body{w, &runs};
  const Tensors y = ops::recompute({x}, body, body);
  EXPECT_EQ(runs, 1);
  EXPECT_TRUE(at::equal(y[0], constant(10)));
  y[0].mul(y[1]).sum().backward();  // w·x · 3·x
  EXPECT_EQ(runs, 2);
  EXPECT_TRUE(at::equal(x.grad(), constant(6 * 2 * 5)));
  EXPECT_TRUE(at::equal(w.grad(), constant(3 * 4)));
}

TEST(Recompute, ReachesParametersWhereNoInputWantsAGradient) {
  const at::Tensor x = constant(2), w = leaf(5);
  int runs = 0;
  const Body body{w, &runs};
  const Tensors y = ops::recompute({x}, body, body);
  EXPECT_TRUE(y[0].requires_grad());
  EXPECT_FALSE(y[1].requires_grad());
  for (int time = 1; time <= 2; ++time) {  // gradients add up, in the tensor that is there
    const at::Tensor before = w.grad();
    y[0].sum().backward({}, /*retain_graph=*/true);
    EXPECT_TRUE(at::equal(w.grad(), constant(2 * time)));
    if (time == 2) {
      EXPECT_TRUE(before.is_same(w.grad()));
    }
  }
  EXPECT_EQ(runs, 3);
}

TEST(Recompute, RunsOnceWhereNothingCanBeDifferentiated) {
  const at::Tensor x = constant(2), w = constant(5);
  int runs = 0;
  const Body body{w, &runs};
  EXPECT_FALSE(ops::recompute({x}, body, body)[0].requires_grad());
  const at::NoGradGuard no_grad;
  EXPECT_FALSE(ops::recompute({leaf(2)}, body, body)[0].requires_grad());
  EXPECT_EQ(runs, 2);
}

TEST(Recompute, KeepsNothingOfTheFirstRunsGraph) {
  const at::Tensor x = leaf(2), w = leaf(5);
  std::weak_ptr<int> held;
  const auto body = [&](const Tensors& inputs) -> Tensors {
    const auto token = std::make_shared<int>(0);
    ops::AutogradNode node("holder", {inputs[0], w});
    held = token;
    return {node.record(inputs[0].mul(w), {w}, [token](const ops::BackwardPass& pass) -> Tensors {
      return {pass.grads[0], pass.grads[0]};
    })};
  };
  const Tensors y = ops::recompute({x}, body, body);
  EXPECT_TRUE(held.expired());
}

TEST(Recompute, IsNotDifferentiatedTwice) {
  const at::Tensor x = leaf(2), w = leaf(5);
  int runs = 0;
  const Body body{w, &runs};
  const Tensors y = ops::recompute({x}, body, body);
  EXPECT_THROW(y[0].sum().backward({}, /*retain_graph=*/true, /*create_graph=*/true), Error);
}

}  // namespace
}  // namespace morex::test
