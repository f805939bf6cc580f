// expert_swiglu against its plain twin.
#include "ops/expert_swiglu.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "ops/expert_swiglu_reference.h"
#include "support/golden_tensors.h"
#include "unit/ops/chosen_rows.h"
#include "unit/ops/compare.h"

namespace morex::test {
namespace {

ops::ExpertSwigluInput named(const std::vector<at::Tensor>& in) {
  return {in[0], in[1], in[2], in[3], in[4], in[5], in[6], in[7]};
}

at::Tensor joined(const std::pair<at::Tensor, at::Tensor>& parts) { return at::cat({parts.first, parts.second}, 1); }

constexpr int64_t kF = 12, kRank = 3;

std::vector<OpInput> inputs_for(int64_t tokens, const ops::ExpertRows& rows) {
  const auto wide = static_cast<int64_t>(rows.counts.size()) * kRank;
  return {{random_tensor({tokens, kF}, 1)},          {random_tensor({tokens, kF}, 2)},
          {random_tensor({tokens, wide}, 3)},        {random_tensor({tokens, wide}, 4)},
          {random_tensor({rows.tokens.size(0)}, 5)}, {random_tensor({wide, kF}, 6, 0.5)},
          {random_tensor({wide, kF}, 7, 0.5)},       {random_tensor({wide, kF}, 8, 0.5)}};
}

TEST(ExpertSwiglu, MatchesReference) {
  for (const auto& [tokens, counts] : std::vector<std::pair<int64_t, std::vector<int64_t>>>{
           {1, {1}}, {10, {4, 0, 10}}, {600, {600, 257, 1, 0}}, {5, {0, 0}}}) {
    const ops::ExpertRows rows = rows_of(tokens, counts);
    for (const ops::Activation activation : {ops::Activation::kSilu, ops::Activation::kGeluTanh}) {
      const ops::ExpertSwigluOptions options{0.5, activation, 0.0, {}};
      const OpFunction op = [&](const auto& in) {
        return joined(ops::expert_swiglu(named(in), on(rows, in[0].device()), options));
      };
      const OpFunction reference = [&](const auto& in) {
        return joined(ops::reference::expert_swiglu(named(in), rows, options));
      };
      for (const at::ScalarType dtype : all_dtypes()) {
        SCOPED_TRACE(testing::Message() << "T " << tokens << " " << dtype);
        compare_with_reference(op, reference, inputs_for(tokens, rows), dtype, Layout::kContiguous, 4.0);
      }
    }
  }
}

TEST(ExpertSwiglu, DropoutMatchesReference) {
  const ops::ExpertRows rows = rows_of(300, {300, 7, 0, 129});
  const ops::ExpertSwigluOptions options{0.5, ops::Activation::kSilu, 0.4, {1, 2, 3}};
  const OpFunction op = [&](const auto& in) {
    return joined(ops::expert_swiglu(named(in), on(rows, in[0].device()), options));
  };
  const OpFunction reference = [&](const auto& in) {
    return joined(ops::reference::expert_swiglu(named(in), rows, options));
  };
  for (const at::ScalarType dtype : all_dtypes())
    compare_with_reference(op, reference, inputs_for(300, rows), dtype, Layout::kContiguous, 4.0);
}

TEST(ExpertSwiglu, GradientsMatchCentralDifferencesUnderDropout) {
  const ops::ExpertRows rows = rows_of(5, {3, 5});
  const ops::ExpertSwigluOptions options{2.0, ops::Activation::kSilu, 0.4, {1, 2, 3}};
  std::vector<at::Tensor> inputs;
  for (const OpInput& input : inputs_for(5, rows)) inputs.push_back(input.values);
  check_gradients(
      [&](const auto& in) { return joined(ops::expert_swiglu(named(in), on(rows, in[0].device()), options)); }, inputs);
}

TEST(ExpertSwiglu, TheGatedSumGoesThroughOneDownProjection) {
  const ops::ExpertRows rows = rows_of(6, {6, 4});
  std::vector<at::Tensor> in;
  for (const OpInput& input : inputs_for(6, rows)) in.push_back(input.values);
  const at::Tensor w = random_tensor({kF, 8}, 9), b = random_tensor({2 * kRank, 8}, 10);
  const auto [hidden, z] = ops::expert_swiglu(named(in), rows, {0.5, ops::Activation::kSilu, 0.0, {}});
  at::Tensor each = hidden.matmul(w) * 0.0;
  for (int64_t e = 0; e < 2; ++e) {
    std::vector<at::Tensor> alone = in;
    const int64_t first = e == 0 ? 0 : 6, count = e == 0 ? 6 : 4;
    ops::ExpertRows own{rows.tokens.narrow(0, first, count), {0, 0}};
    own.counts[static_cast<size_t>(e)] = count;
    alone[4] = in[4].narrow(0, first, count);
    const auto [h, small] = ops::expert_swiglu(named(alone), own, {0.5, ops::Activation::kSilu, 0.0, {}});
    each = each + h.matmul(w) + small.matmul(b);
  }
  EXPECT_TRUE(near(hidden.matmul(w) + z.matmul(b), each, 1e-12));
}

}  // namespace
}  // namespace morex::test
