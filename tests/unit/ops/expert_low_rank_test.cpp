// expert_low_rank against its plain twin, and against the dense form.
#include "ops/expert_low_rank.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "ops/expert_low_rank_reference.h"
#include "support/golden_tensors.h"
#include "unit/ops/chosen_rows.h"
#include "unit/ops/compare.h"

namespace morex::test {
namespace {

constexpr int64_t kIn = 7, kOut = 9, kRank = 3;

std::vector<OpInput> inputs_for(int64_t tokens, const ops::ExpertRows& rows) {
  const auto wide = static_cast<int64_t>(rows.counts.size()) * kRank;
  return {{random_tensor({tokens, kOut}, 1)},
          {random_tensor({tokens, kIn}, 2)},
          {random_tensor({rows.tokens.size(0)}, 3), true, true, false},
          {random_tensor({wide, kIn}, 4, 0.5), true, true, false},
          {random_tensor({wide, kOut}, 5, 0.5), true, true, false}};
}

// The op changes y in place, and a leaf must not be changed: y is the result of something.
at::Tensor run(const std::vector<at::Tensor>& in, const ops::ExpertRows& rows) {
  return ops::expert_low_rank(in[0] * 1.0, in[1], in[2], in[3], in[4], on(rows, in[0].device()));
}

TEST(ExpertLowRank, MatchesReference) {
  for (const auto& [tokens, counts] : std::vector<std::pair<int64_t, std::vector<int64_t>>>{
           {1, {1}}, {1, {0, 1, 1}}, {10, {4, 0, 10}}, {2100, {2100, 257, 1, 0}}, {5, {0, 0}}}) {
    const ops::ExpertRows rows = rows_of(tokens, counts);
    const OpFunction op = [&](const auto& in) { return run(in, rows); };
    const OpFunction reference = [&](const auto& in) {
      return ops::reference::expert_low_rank(in[0], in[1], in[2], in[3], in[4], rows);
    };
    for (const at::ScalarType dtype : all_dtypes())
      for (const Layout layout : all_layouts()) {
        SCOPED_TRACE(testing::Message() << "T " << tokens << " " << case_name(dtype, layout));
        compare_with_reference(op, reference, inputs_for(tokens, rows), dtype, layout, 4.0);
      }
  }
}

TEST(ExpertLowRank, GradientsMatchCentralDifferences) {
  const ops::ExpertRows rows = rows_of(5, {3, 0, 5});
  std::vector<at::Tensor> inputs;
  for (const OpInput& input : inputs_for(5, rows)) inputs.push_back(input.values);
  check_gradients([&](const auto& in) { return run(in, rows); }, inputs);
}

TEST(ExpertLowRank, What_is_not_wanted_is_not_formed) {
  const ops::ExpertRows rows = rows_of(6, {6, 2});
  for (size_t wanted = 0; wanted < 5; ++wanted) {
    std::vector<at::Tensor> in, all;
    for (const OpInput& input : inputs_for(6, rows)) {
      in.push_back(input.values.clone().requires_grad_(in.size() == wanted));
      all.push_back(input.values.clone().requires_grad_(true));
    }
    run(in, rows).sum().backward();
    run(all, rows).sum().backward();
    for (size_t i = 0; i < in.size(); ++i) EXPECT_EQ(in[i].grad().defined(), i == wanted);
    EXPECT_TRUE(near(in[wanted].grad(), all[wanted].grad(), 1e-13)) << wanted;
  }
}

TEST(ExpertRows, Rows_move_as_index_operations_move_them) {
  const at::Tensor tokens = at::tensor({4, 0, 3}, at::kLong);
  for (const at::ScalarType dtype : all_dtypes()) {
    for (const Layout layout : all_layouts()) {
      const at::Tensor x = laid_out(random_tensor({5, 6}, 1).to(dtype), layout);
      const at::Tensor rows = laid_out(random_tensor({3, 6}, 2).to(dtype), layout);
      EXPECT_TRUE(same_bits(ops::take_rows(x, tokens, tokens.size(0)), x.index_select(0, tokens)))
          << case_name(dtype, layout);
      const at::Tensor expected = x.clone().index_add_(0, tokens, rows);
      ops::add_rows(x, tokens, rows);
      EXPECT_TRUE(same_bits(x.contiguous(), expected.contiguous())) << case_name(dtype, layout);
    }
  }
}

}  // namespace
}  // namespace morex::test
