#include "nn/slots.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>

#include "ops/frozen_linear.h"
#include "ops/int8_blocks.h"
#include "ops/low_rank.h"
#include "support/golden_tensors.h"
#include "unit/ops/compare.h"

namespace morex::test {
namespace {

// Adds z·b to the first member, with b zero or not.
class OneTarget : public nn::GroupAdapter {
 public:
  explicit OneTarget(at::Tensor b) : b_(std::move(b)) {}
  void apply(const at::Tensor& x, nn::GroupOutputs& y, const nn::BatchContext&, nn::RoutingReport&) const override {
    y.add(0, {x.narrow(1, 0, b_.size(0)), b_, {}});
  }

 private:
  at::Tensor b_;
};

// A weight in eight bits is used as the matrix that it stands for.
TEST(LinearWeight, InEightBitsIsItsDequantisedMatrix) {
  const ops::Int8Blocks blocks = ops::quantize_int8(random_tensor({12, 40}, 1));
  const nn::LinearWeight weight{blocks.values, false, blocks.scales}, plain{ops::dequantize_int8(blocks, at::kFloat)};
  EXPECT_TRUE(weight.in_8bit());
  EXPECT_FALSE(plain.in_8bit());
  EXPECT_EQ(weight.out_features(), 12);
  EXPECT_EQ(weight.in_features(), 40);
  EXPECT_TRUE(same_bits(weight.rows(2, 5, at::kFloat), plain.value.narrow(0, 2, 5)));
  const at::Tensor x = random_tensor({9, 40}, 2).to(at::kFloat);
  EXPECT_TRUE(near(ops::frozen_linear(x, weight.map()), ops::frozen_linear(x, plain.map()), 1e-4));
}

TEST(LinearWeight, RowsAreThoseOfTheMatrixHoweverItIsStored) {
  const at::Tensor w = random_tensor({6, 4}, 1);
  EXPECT_TRUE(same_bits(nn::LinearWeight{w}.rows(1, 3, at::kDouble), w.narrow(0, 1, 3)));
  EXPECT_TRUE(same_bits(nn::LinearWeight{w.t().contiguous(), true}.rows(1, 3, at::kDouble).contiguous(),
                        w.narrow(0, 1, 3).contiguous()));
}

class ZeroMlp : public nn::MlpAdapter {
 public:
  at::Tensor apply(const nn::Mlp&, const at::Tensor& x, const nn::BatchContext&, nn::RoutingReport&) const override {
    return at::zeros_like(x);
  }
};

nn::LinearMember member(const std::string& module, const at::Tensor& value, bool transposed = false,
                        const at::Tensor& bias = {}) {
  nn::LinearMember m;
  m.module = module;
  m.weight.value = value;
  m.weight.transposed = transposed;
  m.bias = bias;
  return m;
}

nn::LinearGroup group(at::ScalarType dtype) {
  nn::LinearGroup g;
  g.members.push_back(member("a", random_tensor({6, 4}, 1).to(dtype), false, random_tensor({6}, 2).to(dtype)));
  g.members.push_back(member("b", random_tensor({4, 3}, 3).to(dtype), true));
  return g;
}

TEST(LinearGroup, IsBaseProductThenAdapterThenBias) {
  nn::LinearGroup g = group(at::kDouble);
  const at::Tensor x = random_tensor({5, 4}, 4);
  nn::RoutingReport report;
  const auto base = g.forward(x, {}, report);
  EXPECT_TRUE(near(base[0], x.mm(g.members[0].weight.value.t()) + g.members[0].bias, 1e-12));
  EXPECT_TRUE(near(base[1], x.mm(g.members[1].weight.value), 1e-12));
  EXPECT_EQ(g.members[1].weight.out_features(), 3);
  EXPECT_EQ(g.members[1].weight.in_features(), 4);
  const at::Tensor b = random_tensor({2, 6}, 5);
  const OneTarget adapter(b);
  g.adapter = &adapter;
  const auto adapted = g.forward(x, {}, report);
  EXPECT_TRUE(near(adapted[0], base[0] + x.narrow(1, 0, 2).mm(b), 1e-12));
  EXPECT_TRUE(same_bits(adapted[1], base[1]));
}

TEST(LinearGroup, AdapterThatAddsZeroLeavesEveryBit) {
  for (const at::ScalarType dtype : all_dtypes()) {
    nn::LinearGroup g = group(dtype);
    const at::Tensor x = random_tensor({37, 4}, 4).to(dtype);
    nn::RoutingReport report;
    const auto base = g.forward(x, {}, report);
    const OneTarget adapter(at::zeros({2, 6}, dtype));
    g.adapter = &adapter;
    EXPECT_TRUE(same_bits(g.forward(x, {}, report)[0], base[0]));
  }
}

TEST(LinearGroup, GradientsMatchCentralDifferencesThroughAdapterAndBias) {
  const nn::LinearGroup base = group(at::kDouble);
  check_gradients(
      [&](const std::vector<at::Tensor>& in) {
        nn::LinearGroup g = base;
        g.members[0].bias = in[1];
        const OneTarget adapter(in[2]);
        g.adapter = &adapter;
        nn::RoutingReport report;
        const auto y = g.forward(in[0], {}, report);
        return at::cat(y, 1);
      },
      {random_tensor({3, 4}, 4), random_tensor({6}, 6), random_tensor({2, 6}, 5)});
}

TEST(Mlp, IsDownOfTheGatedProductAndAnAdapterReplacesIt) {
  nn::Mlp mlp;
  mlp.gate_up.members = {member("gate", random_tensor({8, 4}, 1)), member("up", random_tensor({8, 4}, 2))};
  mlp.down.members = {member("down", random_tensor({4, 8}, 3))};
  const at::Tensor x = random_tensor({5, 4}, 4);
  nn::RoutingReport report;
  const at::Tensor gate = x.mm(mlp.gate_up.members[0].weight.value.t()),
                   up = x.mm(mlp.gate_up.members[1].weight.value.t());
  const at::Tensor expected = (at::silu(gate) * up).mm(mlp.down.members[0].weight.value.t());
  EXPECT_TRUE(near(mlp.forward(x, {}, report), expected, 1e-12));
  const ZeroMlp adapter;
  mlp.adapter = &adapter;
  EXPECT_EQ(mlp.forward(x, {}, report).abs().sum().item<double>(), 0.0);
  EXPECT_TRUE(near(mlp.forward_base(x, {}, report), expected, 1e-12));
}

TEST(Embedding, GathersRows) {
  const nn::Embedding e{"embed_tokens", random_tensor({5, 3}, 1)};
  const at::Tensor ids = at::tensor(std::vector<int64_t>{4, 0, 4});
  EXPECT_TRUE(same_bits(e.forward(ids), e.weight.index_select(0, ids)));
  EXPECT_EQ(e.forward(ids.narrow(0, 0, 0)).sizes(), (std::vector<int64_t>{0, 3}));
}

}  // namespace
}  // namespace morex::test
