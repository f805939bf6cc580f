// gemm, frozen_linear and low_rank.
#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "ops/frozen_linear.h"
#include "ops/frozen_linear_reference.h"
#include "ops/gemm.h"
#include "ops/low_rank.h"
#include "ops/low_rank_reference.h"
#include "ops/router_rows.h"
#include "support/golden_tensors.h"
#include "unit/ops/compare.h"

namespace morex::test {
namespace {

// Rows, and widths that reach the large-product path with the longest.
const std::vector<int64_t> kRows = {0, 1, 7, 64, 257};
constexpr int64_t kIn = 128, kOut = 96, kRank = 16;

TEST(Gemm, EveryOrientationMatchesFloat64) {
  for (const at::ScalarType dtype : all_dtypes()) {
    const double tolerance = dtype == at::kDouble ? 1e-12 : dtype == at::kFloat ? 1e-4 : 0.3;
    for (const Layout layout : all_layouts()) {
      for (const int64_t t : kRows) {
        SCOPED_TRACE(case_name(dtype, layout) + " T " + std::to_string(t));
        const auto make = [&](int64_t r, int64_t c, uint64_t seed) {
          return laid_out(random_tensor({r, c}, seed).to(dtype), layout);
        };
        const at::Tensor x = make(t, kIn, 1), w = make(kOut, kIn, 2), wt = make(kIn, kOut, 3), dy = make(t, kOut, 4);
        const auto exact = [](const at::Tensor& m) { return m.to(at::kDouble); };
        EXPECT_TRUE(near(ops::matmul_nt(x, w), exact(x).mm(exact(w).t()), tolerance));
        EXPECT_TRUE(near(ops::matmul_nn(x, wt), exact(x).mm(exact(wt)), tolerance));
        EXPECT_TRUE(near(ops::matmul_tn(dy, x), exact(dy).t().mm(exact(x)), tolerance));
        EXPECT_TRUE(ops::matmul_tn(dy, x).is_contiguous());
      }
    }
  }
}

TEST(Gemm, AccumulatesIntoAColumnSlice) {
  for (const at::ScalarType dtype : all_dtypes()) {
    for (const int64_t t : kRows) {
      SCOPED_TRACE(case_name(dtype, Layout::kColumnSlice) + " T " + std::to_string(t));
      const at::Tensor wide = random_tensor({t, 2 * kOut}, 1).to(dtype), before = wide.clone();
      const at::Tensor z = random_tensor({t, kIn}, 2).to(dtype), b = random_tensor({kIn, kOut}, 3).to(dtype);
      ops::add_matmul_nn(wide.narrow(1, kOut, kOut), z, b);
      const double tolerance = dtype == at::kDouble ? 1e-12 : dtype == at::kFloat ? 1e-4 : 0.3;
      EXPECT_TRUE(same_bits(wide.narrow(1, 0, kOut), before.narrow(1, 0, kOut)));
      const at::Tensor expected =
          before.narrow(1, kOut, kOut).to(at::kDouble) + z.to(at::kDouble).mm(b.to(at::kDouble));
      EXPECT_TRUE(near(wide.narrow(1, kOut, kOut), expected, tolerance));
      at::Tensor dw = random_tensor({kIn, kOut}, 5).to(dtype);
      const at::Tensor dw_expected =
          dw.to(at::kDouble) + z.to(at::kDouble).t().mm(before.narrow(1, 0, kOut).to(at::kDouble));
      ops::add_matmul_tn(dw, z, before.narrow(1, 0, kOut));
      EXPECT_TRUE(near(dw, dw_expected, tolerance * 2));
    }
  }
}

TEST(Gemm, AGradientMayBeWiderThanItsOperands) {
  for (const int64_t ranks : {16, 200}) {  // beyond the narrow products the sum is rounded in between
    const at::Tensor z = random_tensor({257, ranks}, 1).to(at::kBFloat16),
                     dy = random_tensor({257, kOut}, 2).to(at::kBFloat16);
    const at::Tensor exact = z.to(at::kDouble).t().mm(dy.to(at::kDouble)), start = random_tensor({ranks, kOut}, 3);
    const at::Tensor given = ops::matmul_tn(z, dy, at::kFloat), added = start.to(at::kFloat);
    ops::add_matmul_tn(added, z, dy);
    EXPECT_EQ(given.scalar_type(), at::kFloat);
    EXPECT_TRUE(near(given, exact, 0.3));
    EXPECT_TRUE(near(added, exact + start, 0.3));
  }
}

// Two maps of different widths and orientation, and a third reader of x that sees it through the node.
TEST(FrozenLinears, MatchReference) {
  const auto read_again = [](const at::Tensor& x) { return x.narrow(1, 0, 5).sin(); };
  const OpFunction op = [&](const auto& in) {
    const at::Tensor x = ops::shared_input(in[0]);
    const std::vector<at::Tensor> y = ops::frozen_linears(x, {{in[1], false}, {in[2], true}});
    return at::cat({y[0], y[1], read_again(x)}, 1);
  };
  const OpFunction reference = [&](const auto& in) {
    return at::cat({ops::reference::frozen_linear(in[0], in[1], false),
                    ops::reference::frozen_linear(in[0], in[2], true), read_again(in[0])},
                   1);
  };
  for (const at::ScalarType dtype : all_dtypes())
    for (const Layout layout : all_layouts())
      for (const int64_t t : kRows)
        for (const bool trainable : {false, true}) {
          SCOPED_TRACE("T " + std::to_string(t));
          compare_with_reference(op, reference,
                                 {{random_tensor({t, kIn}, 1)},
                                  {random_tensor({kOut, kIn}, 2, 0.1), trainable},
                                  {random_tensor({kIn, kRank}, 3, 0.1), trainable}},
                                 dtype, layout);
        }
}

// A whole group: two maps, one of them with a term, whose z comes from the same x; every gradient, with and without a
// bias, with few rows and with many.
TEST(FrozenLinears, WithTermsMatchReference) {
  for (const bool biased : {false, true}) {
    const OpFunction op = [&](const auto& in) {
      const at::Tensor x = ops::shared_input(in[0]);
      const at::Tensor z = ops::down(x, in[3]);
      const std::vector<at::Tensor> y =
          ops::frozen_linears(x, {{in[1], false}, {in[2], false}}, {{z, in[4], biased ? in[5] : at::Tensor()}, {}});
      return at::cat(y, 1);
    };
    const OpFunction reference = [&](const auto& in) {
      const at::Tensor z = ops::reference::down(in[0], in[3]);
      const at::Tensor y = ops::reference::frozen_linear(in[0], in[1], false);
      return at::cat({ops::reference::accumulate_up(y, z, in[4], biased ? in[5] : at::Tensor()),
                      ops::reference::frozen_linear(in[0], in[2], false)},
                     1);
    };
    for (const at::ScalarType dtype : all_dtypes()) {
      const at::ScalarType leaf = dtype == at::kDouble ? at::kDouble : at::kFloat;
      for (const Layout layout : all_layouts()) {
        for (const int64_t t : kRows) {
          SCOPED_TRACE("T " + std::to_string(t) + (biased ? " biased" : ""));
          std::vector<OpInput> inputs = {{random_tensor({t, kIn}, 1)},
                                         {random_tensor({kOut, kIn}, 2, 0.1), false},
                                         {random_tensor({kOut, kIn}, 3, 0.1), false},
                                         {random_tensor({kRank, kIn}, 4, 0.2).to(leaf), true, false, false},
                                         {random_tensor({kRank, kOut}, 5, 0.2).to(leaf), true, false, false}};
          if (biased) inputs.push_back({random_tensor({kOut}, 6).to(leaf), true, false, false});
          compare_with_reference(op, reference, inputs, dtype, layout);
        }
      }
    }
  }
}

// Zeros in b leave the base's bits alone, on every path.
TEST(FrozenLinears, AZeroTermIsNothing) {
  for (const at::ScalarType dtype : all_dtypes()) {
    for (const int64_t t : {1, 5, 70}) {
      const at::Tensor x = random_tensor({t, 128}, 1).to(dtype), w = random_tensor({96, 128}, 2).to(dtype);
      const at::Tensor z = random_tensor({t, 8}, 3).to(dtype), b = at::zeros({8, 96}, dtype);
      EXPECT_TRUE(same_bits(ops::frozen_linears(x, {{w, false}}, {{z, b, {}}})[0], ops::frozen_linear(x, w)))
          << dtype << " T " << t;
    }
  }
}

TEST(FrozenLinears, AnOutputThatNobodyReadsCostsNothing) {
  const at::Tensor x = random_tensor({7, kIn}, 1).requires_grad_(true);
  const at::Tensor v = random_tensor({kOut, kIn}, 2), w = random_tensor({kOut, kIn}, 3);
  ops::frozen_linears(ops::shared_input(x), {{v, false}, {w, false}})[1].sum().backward();
  EXPECT_TRUE(near(x.grad(), at::ones({7, kOut}, at::kDouble).mm(w), 1e-12));
}

// What is owed is taken once: a second pass over the same graph gives the same gradients.
TEST(SharedInput, PaysWhatItOwesOnce) {
  const at::Tensor x = random_tensor({40, kIn}, 1).requires_grad_(true), w = random_tensor({kOut, kIn}, 2);
  const at::Tensor a = random_tensor({kRank, kIn}, 3), b = random_tensor({kRank, kOut}, 4);
  const at::Tensor shared = ops::shared_input(x);
  const at::Tensor y = ops::frozen_linears(shared, {{w, false}}, {{ops::down(shared, a), b, {}}})[0];
  const at::Tensor wanted = at::ones({40, kOut}, at::kDouble).mm(w + b.t().mm(a));
  for (const bool keep : {true, true, false})
    EXPECT_TRUE(near(torch::autograd::grad({y.sum()}, {x}, {}, keep)[0], wanted, 1e-10));
}

// A gradient that others hold is not added to.
TEST(SharedInput, TheGradientOfItsReadersStaysTheirs) {
  const at::Tensor x = random_tensor({7, kIn}, 1).requires_grad_(true), w = random_tensor({kOut, kIn}, 2);
  const at::Tensor shared = ops::shared_input(x);
  const at::Tensor y = ops::frozen_linear(shared, w);
  const at::Tensor dx = random_tensor({7, kIn}, 3), before = dx.clone();
  torch::autograd::backward({y.sum(), shared}, {at::Tensor(), dx});
  EXPECT_TRUE(same_bits(dx, before));
  EXPECT_TRUE(near(x.grad(), before + at::ones({7, kOut}, at::kDouble).mm(w), 1e-12));
}

TEST(FrozenLinear, MatchesReference) {
  for (const bool transposed : {false, true}) {
    const OpFunction op = [&](const auto& in) { return ops::frozen_linear(in[0], in[1], transposed); };
    const OpFunction reference = [&](const auto& in) {
      return ops::reference::frozen_linear(in[0], in[1], transposed);
    };
    for (const at::ScalarType dtype : all_dtypes()) {
      for (const Layout layout : all_layouts()) {
        for (const int64_t t : kRows) {
          SCOPED_TRACE("T " + std::to_string(t));
          const at::Tensor w =
              random_tensor(transposed ? at::IntArrayRef{kIn, kOut} : at::IntArrayRef{kOut, kIn}, 2, 0.1);
          for (const bool trainable : {false, true}) {
            compare_with_reference(op, reference, {{random_tensor({t, kIn}, 1)}, {w, trainable}}, dtype, layout);
          }
        }
      }
    }
  }
}

TEST(FrozenLinear, Float32LeafUnderBfloat16ActivationsGetsFloat32Gradient) {
  const OpFunction op = [](const auto& in) { return ops::frozen_linear(in[0], in[1]); };
  const OpFunction reference = [](const auto& in) { return ops::reference::frozen_linear(in[0], in[1]); };
  const OpInput leaf{random_tensor({kOut, kIn}, 2, 0.1).to(at::kFloat), true, false, false};
  compare_with_reference(op, reference, {{random_tensor({33, kIn}, 1)}, leaf}, at::kBFloat16, Layout::kContiguous);
}

TEST(FrozenLinear, SavesNoActivationForAFrozenWeight) {
  at::Tensor x = random_tensor({64, kIn}, 1).to(at::kFloat).requires_grad_(true);
  const at::Tensor w = random_tensor({kOut, kIn}, 2).to(at::kFloat);
  at::Tensor inner = x * 2.0;
  const c10::weak_intrusive_ptr<c10::TensorImpl> watched(inner.getIntrusivePtr());
  const at::Tensor y = ops::frozen_linear(inner, w);
  inner.reset();
  EXPECT_TRUE(watched.expired());
}

TEST(LowRank, DownMatchesReference) {
  const OpFunction op = [](const auto& in) { return ops::down(in[0], in[1]); };
  const OpFunction reference = [](const auto& in) { return ops::reference::down(in[0], in[1]); };
  const OpFunction wide_op = [](const auto& in) { return ops::down_fp32(in[0], in[1]); };
  constexpr int64_t kManyRows = ops::kRouterRows + 8;  // of routers: products of the libraries
  for (const at::ScalarType dtype : all_dtypes()) {
    const at::ScalarType leaf = dtype == at::kDouble ? at::kDouble : at::kFloat;
    for (const Layout layout : all_layouts()) {
      for (const int64_t t : {0, 1, 7, 64, 257, 1100}) {
        SCOPED_TRACE("T " + std::to_string(t));
        const std::vector<OpInput> inputs = {{random_tensor({t, kIn}, 1)},
                                             {random_tensor({kRank, kIn}, 2, 0.2).to(leaf), true, false, false}};
        compare_with_reference(op, reference, inputs, dtype, layout);
        compare_with_reference(wide_op, reference, inputs, dtype, layout);
        const OpInput many{random_tensor({kManyRows, kIn}, 2, 0.2).to(leaf), true, false, false};
        compare_with_reference(wide_op, reference, {inputs[0], many}, dtype, layout);
      }
    }
  }
}

// One leaf for both products; x after dropout is x itself or another tensor.
TEST(LowRank, DownBothMatchesReference) {
  const auto both = [](auto&& f) {
    return [f](const auto& in, bool apart) {
      const at::Tensor kept = apart ? in[0] * 2.0 : in[0];
      const auto [h, u] = f(kept, in[0], in[1], 13);
      return at::cat({h.to(u.scalar_type()), u}, 1);
    };
  };
  const auto op = both(ops::down_both), reference = both(ops::reference::down_both);
  for (const bool apart : {false, true})
    for (const at::ScalarType dtype : all_dtypes()) {
      const at::ScalarType leaf = dtype == at::kDouble ? at::kDouble : at::kFloat;
      for (const Layout layout : all_layouts())
        for (const int64_t t : {0, 1, 7, 64, 257, 2100}) {
          SCOPED_TRACE("T " + std::to_string(t));
          for (const int64_t routes : {int64_t{3}, ops::kRouterRows + 8})
            compare_with_reference([&](const auto& in) { return op(in, apart); },
                                   [&](const auto& in) { return reference(in, apart); },
                                   {{random_tensor({t, kIn}, 1)},
                                    {random_tensor({13 + routes, kIn}, 2, 0.2).to(leaf), true, false, false}},
                                   dtype, layout);
        }
    }
}

TEST(LowRank, DownBothGradientsMatchCentralDifferences) {
  for (const bool apart : {false, true})
    check_gradients(
        [apart](const auto& in) {
          const auto [h, u] = ops::down_both(apart ? in[0] * 2.0 : in[0], in[0], in[1], 2);
          return at::cat({h, u}, 1);
        },
        {random_tensor({4, 6}, 1), random_tensor({5, 6}, 2)});
}

TEST(LowRank, DownFp32KeepsFloat32PrecisionFromBfloat16) {
  const at::Tensor x = random_tensor({2050, kIn}, 1).to(at::kBFloat16);
  const at::Tensor g = random_tensor({4, kIn}, 2).to(at::kFloat);
  const at::Tensor u = ops::down_fp32(x, g);
  EXPECT_EQ(u.scalar_type(), at::kFloat);
  EXPECT_TRUE(near(u, x.to(at::kDouble).mm(g.to(at::kDouble).t()), 1e-4));
}

TEST(LowRank, AccumulateUpMatchesReference) {
  // The op works in place: y is a fresh tensor inside.
  const OpFunction op = [](const auto& in) { return ops::accumulate_up(in[0] * 1.0, in[1], in[2], in[3]); };
  const OpFunction reference = [](const auto& in) { return ops::reference::accumulate_up(in[0], in[1], in[2], in[3]); };
  for (const at::ScalarType dtype : all_dtypes()) {
    const at::ScalarType leaf = dtype == at::kDouble ? at::kDouble : at::kFloat;
    for (const Layout layout : all_layouts()) {
      for (const int64_t t : kRows) {
        SCOPED_TRACE("T " + std::to_string(t));
        compare_with_reference(op, reference,
                               {{random_tensor({t, kOut}, 1)},
                                {random_tensor({t, kRank}, 2)},
                                {random_tensor({kRank, kOut}, 3, 0.2).to(leaf), true, false, false},
                                {random_tensor({kOut}, 4).to(leaf), true, false, false}},
                               dtype, layout);
      }
    }
  }
}

TEST(LowRank, AccumulateUpChangesTheTensorItselfAndKeepsItsHistory) {
  at::Tensor x = random_tensor({5, kIn}, 1).requires_grad_(true);
  const at::Tensor w = random_tensor({kOut, kIn}, 2);
  at::Tensor b = random_tensor({kRank, kOut}, 3).requires_grad_(true);
  at::Tensor z = random_tensor({5, kRank}, 4).requires_grad_(true);
  at::Tensor y = ops::frozen_linear(x, w);
  const void* memory = y.data_ptr();
  const at::Tensor sum = ops::accumulate_up(y, z, b);
  EXPECT_EQ(sum.data_ptr(), memory);
  EXPECT_TRUE(near(y, x.mm(w.t()) + z.mm(b), 1e-10));
  const auto grads = torch::autograd::grad({y.sum()}, {x, z, b});
  EXPECT_TRUE(near(grads[0], at::ones({5, kOut}, at::kDouble).mm(w), 1e-10));
  EXPECT_TRUE(near(grads[1], at::ones({5, kOut}, at::kDouble).mm(b.t()), 1e-10));
  EXPECT_TRUE(near(grads[2], z.t().mm(at::ones({5, kOut}, at::kDouble)), 1e-10));
}

TEST(LowRank, GradientsMatchCentralDifferences) {
  check_gradients(
      [](const auto& in) { return ops::accumulate_up(in[0] * 1.0, ops::down(in[1], in[2]), in[3]); },
      {random_tensor({3, 5}, 1), random_tensor({3, 4}, 2), random_tensor({2, 4}, 3), random_tensor({2, 5}, 4)});
  check_gradients([](const auto& in) { return ops::frozen_linear(in[0], in[1]); },
                  {random_tensor({3, 5}, 1), random_tensor({4, 5}, 2)});
}

}  // namespace
}  // namespace morex::test
