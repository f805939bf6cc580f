#include "ops/few_rows.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <gtest/gtest.h>

#include "ops/gemm.h"
#include "support/golden_tensors.h"
#include "unit/ops/compare.h"

namespace morex::test {
namespace {

const std::vector<at::ScalarType> kTypes = {at::kFloat, at::kBFloat16};

// Reference twin: ATen in float64.
at::Tensor exact_product(const at::Tensor& a, const at::Tensor& b) {
  return at::mm(a.to(at::kDouble), b.to(at::kDouble));
}

double tolerance(at::ScalarType type, int64_t k) {
  return (type == at::kFloat ? 2e-6 : 1e-2) * std::sqrt(static_cast<double>(k)) * 4;
}

at::Tensor product(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor y = at::empty({a.size(0), b.size(1)}, a.options());
  ops::few_rows_product(y, a, b, false);
  return y;
}

TEST(FewRows, MatchesFloat64InBothOrientations) {
  for (const at::ScalarType type : kTypes) {
    for (const int64_t rows : {1, 2, 3, 4, 5, 7, 8}) {
      for (const int64_t k : {1, 15, 16, 33, 130}) {
        for (const int64_t n : {1, 3, 4, 66, 131}) {
          SCOPED_TRACE(::testing::Message() << type << " rows " << rows << " k " << k << " n " << n);
          const at::Tensor a = random_tensor({rows, k}, 1).to(type), w = random_tensor({n, k}, 2).to(type);
          const at::Tensor b = w.t().contiguous(), expected = exact_product(a, b);
          EXPECT_TRUE(near(product(a, w.t()), expected, tolerance(type, k)));
          EXPECT_TRUE(near(product(a, b), expected, tolerance(type, k)));
        }
      }
    }
  }
}

TEST(FewRows, AccumulatesIntoAColumnSliceFromSlices) {
  constexpr int64_t kRows = 3, kIn = 70, kOut = 45;
  for (const at::ScalarType type : kTypes) {
    const at::Tensor wide = random_tensor({kRows, 3 * kOut}, 1).to(type), before = wide.clone();
    const at::Tensor a = random_tensor({kRows, 2 * kIn}, 2).to(type).narrow(1, 5, kIn);
    const at::Tensor b = random_tensor({kIn, 2 * kOut}, 3).to(type).narrow(1, 7, kOut);
    const at::Tensor w = random_tensor({kOut, 2 * kIn}, 4).to(type).narrow(1, 9, kIn);
    for (const at::Tensor& right : {b, w.t()}) {
      wide.copy_(before);
      const at::Tensor y = wide.narrow(1, kOut, kOut);
      ops::few_rows_product(y, a, right, true);
      const at::Tensor expected = before.narrow(1, kOut, kOut).to(at::kDouble) + exact_product(a, right);
      EXPECT_TRUE(near(y, expected, tolerance(type, kIn)));
      EXPECT_TRUE(same_bits(wide.narrow(1, 0, kOut), before.narrow(1, 0, kOut)));
      EXPECT_TRUE(same_bits(wide.narrow(1, 2 * kOut, kOut), before.narrow(1, 2 * kOut, kOut)));
    }
  }
}

TEST(FewRows, ARowDependsNeitherOnItsCompanyNorOnTheThreads) {
  constexpr int64_t kIn = 100, kOut = 5003;  // worth several threads
  const int threads = at::get_num_threads();
  for (const at::ScalarType type : kTypes) {
    const at::Tensor a = random_tensor({ops::kFewRows, kIn}, 1).to(type);
    const at::Tensor w = random_tensor({kOut, kIn}, 2).to(type), b = w.t().contiguous();
    for (const at::Tensor& right : {w.t(), b}) {
      at::set_num_threads(1);
      const at::Tensor all = product(a, right);
      for (const int count : {2, 3}) {
        at::set_num_threads(count);
        EXPECT_TRUE(same_bits(product(a, right), all)) << count << " threads";
      }
      at::set_num_threads(threads);
      for (int64_t rows = 1; rows < ops::kFewRows; ++rows) {
        const int64_t first = ops::kFewRows - rows;
        EXPECT_TRUE(same_bits(product(a.narrow(0, first, rows), right), all.narrow(0, first, rows))) << rows;
      }
    }
  }
}

TEST(FewRows, AFloatMatrixBesideBfloat16IsRoundedAsItIsRead) {
  at::Tensor w = random_tensor({37, 70}, 2).to(at::kFloat);
  const at::Tensor a = random_tensor({3, 70}, 1).to(at::kBFloat16), b = w.t().contiguous();
  for (const at::Tensor& right : {w.t(), b}) {
    EXPECT_TRUE(same_bits(product(a, right), product(a, right.to(at::kBFloat16))));
    const at::Tensor y = random_tensor({3, 37}, 3).to(at::kBFloat16), other = y.clone();
    ops::add_matmul_nn(y, a, right);
    ops::add_matmul_nn(other, a, right.to(at::kBFloat16));
    EXPECT_TRUE(same_bits(y, other));
  }
  w.fill_(std::nan(""));
  EXPECT_TRUE(product(a, w.t()).isnan().all().item<bool>());
}

// What an expert that is not chosen would add is not read.
TEST(FewRows, RowsThatOnlyZerosMeetAreNotRead) {
  for (const at::ScalarType type : kTypes) {
    for (const at::ScalarType right : {type, at::kFloat}) {
      for (const int64_t rows : {1, 3, 6}) {
        const at::Tensor a = random_tensor({rows, 40}, 1).to(type), b = random_tensor({40, 131}, 2).to(right);
        a.narrow(1, 11, 13).zero_();
        const at::Tensor expected = exact_product(a, b.to(type)), y = random_tensor({rows, 131}, 3).to(type);
        const at::Tensor sum = y.to(at::kDouble) + expected;
        b.narrow(0, 11, 13).fill_(std::nan(""));
        EXPECT_TRUE(near(product(a, b), expected, tolerance(type, 40)));
        ops::few_rows_product(y, a, b, true);
        EXPECT_TRUE(near(y, sum, tolerance(type, 40)));
        EXPECT_TRUE(near(product(a.clone().zero_(), b), expected.clone().zero_(), 0.0));
        a.select(1, 12).fill_(1);
        EXPECT_TRUE(product(a, b).isnan().all().item<bool>());
      }
    }
  }
}

TEST(FewRows, GemmTakesThemForFewRowsOnly) {
  const at::Tensor w = random_tensor({2000, 300}, 2).to(at::kFloat);
  const at::Tensor a = random_tensor({2 * ops::kFewRows, 300}, 1).to(at::kFloat);
  const at::Tensor few = a.narrow(0, 0, ops::kFewRows);
  EXPECT_TRUE(same_bits(ops::matmul_nt(few, w), product(few, w.t())));
  const at::Tensor y = at::empty({a.size(0), 2000}, a.options());
  EXPECT_FALSE(ops::few_rows_apply(y, a, w.t()));
  const at::Tensor y_few = y.narrow(0, 0, ops::kFewRows);
  EXPECT_TRUE(ops::few_rows_apply(y_few, few, w.t()));
  EXPECT_FALSE(ops::few_rows_apply(y_few, few, w.t().to(at::kBFloat16)));
  EXPECT_FALSE(ops::few_rows_apply(y_few, few.to(at::kBFloat16), w.t()));
  EXPECT_FALSE(ops::few_rows_apply(y_few.to(at::kDouble), few.to(at::kDouble), w.t().to(at::kDouble)));
  EXPECT_FALSE(ops::few_rows_apply(y_few, a.t().contiguous().t().narrow(0, 0, ops::kFewRows), w.t()));
}

}  // namespace
}  // namespace morex::test
