// jittered_down against the product of the multiplied input.
#include "ops/jittered_down.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/mm.h>
#include <gtest/gtest.h>

#include "support/golden_tensors.h"
#include "unit/ops/compare.h"

namespace morex::test {
namespace {

const RandomKey kKey{3, 5, 7};

TEST(JitteredDown, Is_the_product_of_the_jittered_input) {
  for (const int64_t tokens : {1, 9, 1500}) {  // more than one block of rows
    const std::vector<OpInput> inputs = {{random_tensor({tokens, 6}, 1)},
                                         {random_tensor({4, 6}, 2), true, false, false}};
    for (const at::ScalarType dtype : all_dtypes()) {
      const auto factors_type = dtype == at::kDouble ? at::kDouble : at::kFloat;
      const at::Tensor factors = ops::jitter_factors(0, tokens, 6, 0.3, kKey, factors_type).to(at::kDouble);
      const OpFunction op = [&](const auto& in) { return ops::jittered_down(in[0], in[1], 0.3, kKey); };
      const OpFunction reference = [&](const auto& in) { return at::mm(in[0] * factors, in[1].t()); };
      SCOPED_TRACE(testing::Message() << tokens << " " << dtype);
      compare_with_reference(op, reference, inputs, dtype, Layout::kContiguous, 4.0);
    }
  }
  check_gradients([](const auto& in) { return ops::jittered_down(in[0], in[1], 0.3, kKey); },
                  {random_tensor({5, 6}, 1), random_tensor({4, 6}, 2)});
}

TEST(JitteredDown, Factors_are_uniform_and_a_function_of_the_place) {
  const at::Tensor all = ops::jitter_factors(0, 4000, 7, 0.25, kKey, at::kDouble);
  EXPECT_GE(all.min().item<double>(), 0.75);
  EXPECT_LE(all.max().item<double>(), 1.25);
  EXPECT_NEAR(all.mean().item<double>(), 1.0, 0.005);
  EXPECT_NEAR(all.var().item<double>(), 0.25 * 0.25 / 3, 0.001);
  EXPECT_TRUE(at::equal(ops::jitter_factors(13, 5, 7, 0.25, kKey, at::kDouble), all.narrow(0, 13, 5)));
  EXPECT_FALSE(at::equal(ops::jitter_factors(0, 4000, 7, 0.25, {3, 5, 8}, at::kDouble), all));
}

}  // namespace
}  // namespace morex::test
