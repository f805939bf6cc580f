#include "ops/router_rows.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <gtest/gtest.h>

#include <limits>

#include "support/golden_tensors.h"
#include "unit/ops/compare.h"

namespace morex::test {
namespace {

// |actual - exact| within the rounding of the result and what float32 sums of `terms` numbers of that size leave.
void expect_close(const at::Tensor& actual, const at::Tensor& exact, const at::Tensor& magnitude, int64_t terms) {
  const double rounding = actual.scalar_type() == at::kBFloat16 ? 1.0 / 256 : 0.0;
  const double steps = static_cast<double>(terms + 1) * std::numeric_limits<float>::epsilon();
  const at::Tensor allowed = exact.abs().mul(rounding).add(magnitude, steps);
  EXPECT_TRUE((actual.to(at::kDouble) - exact).abs().le(allowed).all().item<bool>());
}

at::Tensor wide(const at::Tensor& t) { return t.to(at::kDouble); }

TEST(RouterRows, MatchFloat64ForEveryCount) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    for (const int64_t rows : {1, 2, 4, 5, 8, 13, 24}) {
      if (type == at::kFloat && rows > ops::kRouterRowsFloat32) continue;
      for (const int64_t tokens : {0, 1, 3, 64, 131}) {
        for (const int64_t d : {1, 17, 130, 300}) {
          SCOPED_TRACE(testing::Message() << type << " rows " << rows << " tokens " << tokens << " d " << d);
          const at::Tensor x = random_tensor({tokens, d + 9}, 1).to(type).narrow(1, 5, d);
          const at::Tensor g = random_tensor({rows, d}, 2).to(at::kFloat);
          const at::Tensor du = random_tensor({tokens, rows}, 3).to(at::kFloat);
          ASSERT_TRUE(ops::router_rows_apply(x, g));
          expect_close(ops::router_dots(x, g), wide(x).mm(wide(g).t()), wide(x).abs().mm(wide(g).abs().t()), d);
          const at::Tensor dg = at::empty({rows, d}, g.options());
          ops::router_gradient(dg, du, x);
          expect_close(dg, wide(du).t().mm(wide(x)), wide(du).abs().t().mm(wide(x).abs()), tokens);
          const at::Tensor exact = wide(du).mm(wide(g)), magnitude = wide(du).abs().mm(wide(g).abs());
          const at::Tensor dx = at::empty({tokens, 2 * d}, x.options()).narrow(1, d, d);
          ops::router_input_gradient(dx, du, g, false);
          expect_close(dx, exact, magnitude, rows);
          dx.copy_(x);
          ops::router_input_gradient(dx, du, g, true);
          expect_close(dx, exact + wide(x), magnitude + wide(x).abs(), rows + 1);
        }
      }
    }
  }
}

TEST(RouterRows, DependNotOnThreads) {
  const at::Tensor x = random_tensor({300, 200}, 1).to(at::kBFloat16), g = random_tensor({7, 200}, 2).to(at::kFloat);
  const at::Tensor du = random_tensor({300, 7}, 3).to(at::kFloat);
  const auto all = [&](int threads) {
    at::set_num_threads(threads);
    std::vector<at::Tensor> out = {ops::router_dots(x, g), at::empty({7, 200}, g.options()), x.clone()};
    ops::router_gradient(out[1], du, x);
    ops::router_input_gradient(out[2], du, g, true);
    return out;
  };
  const int threads = at::get_num_threads();
  const std::vector<at::Tensor> one = all(1), two = all(2);
  at::set_num_threads(threads);
  for (size_t i = 0; i < one.size(); ++i) EXPECT_TRUE(same_bits(one[i], two[i])) << i;
}

TEST(RouterRows, LeaveOtherProductsAlone) {
  const at::Tensor x = random_tensor({4, 8}, 1), g = random_tensor({2, 8}, 2);
  EXPECT_FALSE(ops::router_rows_apply(x, g)) << "float64";
  const auto rows = [](int64_t count) { return random_tensor({count, 8}, 2); };
  EXPECT_FALSE(ops::router_rows_apply(x.to(at::kBFloat16), rows(ops::kRouterRows + 1)));
  EXPECT_FALSE(ops::router_rows_apply(x.to(at::kFloat), rows(ops::kRouterRowsFloat32 + 1)));
  EXPECT_FALSE(ops::router_rows_apply(x.to(at::kFloat).t(), g));
}

}  // namespace
}  // namespace morex::test
