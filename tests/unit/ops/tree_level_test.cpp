// tree_level and tree_scores against their plain twins.
#include "ops/tree_level.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <gtest/gtest.h>

#include "ops/exponential.h"
#include "ops/tree_reference.h"
#include "ops/tree_scores.h"
#include "support/golden_tensors.h"
#include "unit/ops/compare.h"

namespace morex::test {
namespace {

struct Shape {
  int64_t tokens, parents, fan, experts, rank, width, next;  // width 0: the bottom
};

at::Tensor choice(const Shape& s) {
  const int64_t nodes = s.tokens * s.parents * s.fan;
  return (at::arange(nodes, at::kLong) * 7 % 5).remainder(s.experts).view({s.tokens, s.parents, s.fan});
}

std::vector<OpInput> inputs_of(const Shape& s) {
  const int64_t nodes = s.tokens * s.parents * s.fan;
  std::vector<OpInput> in = {{random_tensor({s.tokens, s.experts * s.rank}, 1)},
                             {random_tensor({s.experts, s.rank}, 2)},
                             {random_tensor({s.experts, s.next, s.rank}, 3, 0.5)},
                             {random_tensor({s.experts, s.next}, 4)},
                             {random_tensor({s.tokens, s.parents, s.fan}, 5)}};
  if (s.width > 0) {
    in.push_back({random_tensor({nodes, s.width}, 6)});
    in.push_back({random_tensor({s.next, s.width}, 7, 0.3)});
    in.push_back({random_tensor({s.next}, 8)});
  }
  return in;
}

ops::TreeLevelInput named(const std::vector<at::Tensor>& in, const at::Tensor& ids) {
  ops::TreeLevelInput input{in[0], in[1], in[2], in[3], {}, {}, {}, in[4], ids.to(in[0].device())};
  if (in.size() > 5) input.below = in[5], input.w = in[6], input.w_bias = in[7];
  return input;
}

TEST(TreeLevel, MatchesReference) {
  for (const Shape& s : std::vector<Shape>{{1, 1, 1, 1, 1, 0, 1},
                                           {0, 1, 2, 3, 2, 4, 5},
                                           {7, 2, 2, 4, 8, 0, 32},
                                           {70, 1, 2, 4, 16, 32, 96},
                                           {130, 3, 3, 5, 5, 9, 17}}) {
    const at::Tensor ids = choice(s);
    for (const ops::TreeActivation activation :
         {ops::TreeActivation::kIdentity, ops::TreeActivation::kTanh, ops::TreeActivation::kRelu}) {
      const OpFunction op = [&](const auto& in) { return ops::tree_level(named(in, ids), 0.5, activation); };
      const OpFunction reference = [&](const auto& in) {
        return ops::reference::tree_level(named(in, ids), 0.5, activation);
      };
      for (const at::ScalarType dtype : {at::kDouble, at::kFloat}) {
        for (const Layout layout : {Layout::kContiguous, Layout::kColumnSlice}) {
          SCOPED_TRACE(testing::Message() << "tokens " << s.tokens << " " << dtype);
          std::vector<OpInput> inputs = inputs_of(s);
          for (size_t i = 1; i < inputs.size(); ++i) inputs[i].follows_layout = false;
          compare_with_reference(op, reference, inputs, dtype, layout, 4.0);
        }
      }
    }
  }
}

TEST(TreeLevel, TablesFormedBeforeGiveTheSameBits) {
  const at::NoGradGuard no_grad;
  for (const int64_t width : {0, 9}) {
    const Shape s{7, 3, 2, 4, 5, width, 17};
    std::vector<at::Tensor> in;
    for (const OpInput& input : inputs_of(s)) in.push_back(input.values.to(at::kFloat).to(test_device()));
    const ops::TreeLevelInput input = named(in, choice(s));
    if (!input.h.is_cpu()) GTEST_SKIP() << "tables are the CPU's";
    const ops::TreeLevelTables tables = ops::tree_level_tables(input, 0.5);
    EXPECT_TRUE(same_bits(ops::tree_level(input, tables, ops::TreeActivation::kTanh),
                          ops::tree_level(input, 0.5, ops::TreeActivation::kTanh)));
  }
}

TEST(TreeLevel, GradientsMatchCentralDifferences) {
  const Shape s{3, 2, 2, 3, 2, 4, 5};
  const at::Tensor ids = choice(s);
  std::vector<at::Tensor> inputs;
  for (const OpInput& input : inputs_of(s)) inputs.push_back(input.values);
  check_gradients([&](const auto& in) { return ops::tree_level(named(in, ids), 2.0, ops::TreeActivation::kTanh); },
                  inputs);
}

TEST(HyperbolicTangent, IsWithinItsBoundEverywhere) {
  for (float x = -12.0f; x < 12.0f; x += 0.0007f) {
    const double exact = std::tanh(static_cast<double>(x));
    ASSERT_NEAR(ops::hyperbolic_tangent(x), exact, 4e-7 * std::abs(exact)) << x;
  }
  EXPECT_EQ(ops::hyperbolic_tangent(0.0f), 0.0f);
  EXPECT_EQ(ops::hyperbolic_tangent(200.0f), 1.0f);
  EXPECT_TRUE(std::isnan(ops::hyperbolic_tangent(std::nanf(""))));
}

struct ScoresShape {
  int64_t tokens, parents, levels, units, experts, table_rows;  // levels 0: the top
};

std::vector<OpInput> inputs_of(const ScoresShape& s) {
  std::vector<OpInput> in = {{random_tensor({s.tokens, s.units}, 1)},
                             {random_tensor({s.units}, 2)},
                             {random_tensor({s.experts, s.units}, 3)},
                             {random_tensor({s.experts}, 4)}};
  if (s.levels > 0) in.push_back({random_tensor({s.table_rows, s.units}, 5)});
  return in;
}

ops::TreeScoresInput scores_of(const std::vector<at::Tensor>& in, const at::Tensor& path) {
  ops::TreeScoresInput input{in[0], {}, {}, in[1], in[2], in[3]};
  if (in.size() > 4) input.table = in[4], input.path = path.to(in[0].device());
  return input;
}

TEST(TreeScores, MatchesReference) {
  for (const ScoresShape& s : std::vector<ScoresShape>{
           {1, 1, 0, 1, 1, 0}, {0, 2, 1, 4, 3, 3}, {65, 1, 0, 32, 4, 0}, {130, 2, 1, 32, 4, 4}, {70, 6, 2, 17, 5, 7}}) {
    SCOPED_TRACE(s.tokens);
    const at::Tensor path = (at::arange(s.tokens * s.parents * s.levels, at::kLong) * 7 % 11)
                                .remainder(std::max<int64_t>(1, s.table_rows))
                                .view({s.tokens * s.parents, s.levels});
    for (const ops::TreeActivation activation :
         {ops::TreeActivation::kIdentity, ops::TreeActivation::kTanh, ops::TreeActivation::kRelu}) {
      const OpFunction op = [&](const auto& in) { return ops::tree_scores(scores_of(in, path), activation); };
      const OpFunction reference = [&](const auto& in) {
        return ops::reference::tree_scores(scores_of(in, path), activation);
      };
      for (const at::ScalarType dtype : {at::kDouble, at::kFloat})
        for (const Layout layout : all_layouts()) compare_with_reference(op, reference, inputs_of(s), dtype, layout);
    }
  }
}

TEST(TreeScores, GradientsMatchCentralDifferences) {
  const ScoresShape s{3, 2, 2, 4, 3, 5};
  const at::Tensor path = (at::arange(12, at::kLong) % 5).view({6, 2});
  std::vector<at::Tensor> inputs;
  for (const OpInput& input : inputs_of(s)) inputs.push_back(input.values);
  check_gradients([&](const auto& in) { return ops::tree_scores(scores_of(in, path), ops::TreeActivation::kTanh); },
                  inputs);
}

}  // namespace
}  // namespace morex::test
