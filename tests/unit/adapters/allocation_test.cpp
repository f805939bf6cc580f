// What mixtures allocate: nothing of the size tokens x experts x width, and little that outlives the forward pass.
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/sin.h>
#include <ATen/ops/zeros.h>
#include <c10/util/ThreadLocalDebugInfo.h>
#include <gtest/gtest.h>

#include "../../golden/adapters/one_site.h"

namespace morex::test {
namespace {

// Watches every allocation of the CPU's allocator on this thread.
class Watch : public c10::MemoryReportingInfoBase {
 public:
  void reportMemoryUsage(void*, int64_t bytes, size_t, size_t, c10::Device) override {
    largest = std::max(largest, bytes);
    alive += bytes;
  }
  bool memoryProfilingEnabled() const override { return true; }

  int64_t largest = 0, alive = 0;
};

TEST(Allocation, A_tree_makes_nothing_of_tokens_x_experts_x_width) {
  constexpr int64_t kTokens = 8192, kWidth = 128, kPool = 8, kRank = 16;
  OneSite site(
      at::zeros({kWidth, kWidth}), {},
      {{"experts", {{"kind", "tree"}, {"ranks", {kRank, kRank}}, {"pool", kPool}, {"active", 2}, {"init", "normal"}}},
       {"router", {{"kind", "tree_keys"}}},
       {"losses", {{{"kind", "balance"}}}}});
  site.set->initialize(1);
  const at::Tensor x = at::sin(at::arange(kTokens * kWidth, at::kFloat)).view({kTokens, kWidth}).requires_grad_(true);
  nn::BatchContext ctx;
  ctx.batch = 1;
  ctx.length = kTokens;
  ctx.phase = nn::Phase::kTrain;

  const int64_t rows = 2 * kPool * kRank + 32;  // all experts' ranks and the router's rows
  const int64_t down = kTokens * rows * 4;      // [H | U]: the largest tensor there has to be
  const int64_t forbidden = kTokens * kPool * kWidth * 4;
  ASSERT_LT(down, forbidden);
  const auto watch = std::make_shared<Watch>();
  at::Tensor loss;
  {
    const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, watch);
    nn::RoutingReport report;
    const at::Tensor y = site.forward(x, ctx, report);
    loss = y.sum() + site.set->auxiliary_loss(report);
    EXPECT_GT(watch->largest, 0);
    EXPECT_LE(watch->largest, down);
    // What the graph keeps: [H | U], z, y, and some small change.
    EXPECT_LE(watch->alive, down + kTokens * (2 * kPool * kRank + kWidth) * 4 + (1 << 20));
    loss.backward();
  }
  EXPECT_LE(watch->largest, down);
  EXPECT_GT(site.set->parameters().grads().abs().sum().item<double>(), 0.0);
}

// Gathered: no [T, E·r] either, whatever the router does.
TEST(Allocation, Gathered_experts_make_nothing_of_tokens_x_experts) {
  constexpr int64_t kTokens = 8192, kWidth = 64, kExperts = 16, kRank = 32;
  for (const bool all_to_one : {false, true}) {
    OneSite site(at::zeros({kWidth, kWidth}), {},
                 {{"experts",
                   {{"kind", "low_rank_experts"},
                    {"r", kRank},
                    {"num_experts", kExperts},
                    {"init_lora_weights", false},
                    {"execution", "gather"}}},
                  {"router", {{"kind", "top_k"}, {"top_k", 2}}},
                  {"losses", {{{"kind", "balance"}}}}});
    site.set->initialize(1);
    if (all_to_one) site.value("moe_gate.weight").zero_();
    const at::Tensor x = at::sin(at::arange(kTokens * kWidth, at::kFloat)).view({kTokens, kWidth}).requires_grad_(true);
    nn::BatchContext ctx;
    ctx.batch = 1;
    ctx.length = kTokens;
    ctx.phase = nn::Phase::kTrain;

    const int64_t wide = kTokens * kWidth * 4;                      // one [T, d]
    ASSERT_LT(wide, kTokens * kExperts * kRank * 4 / 4);            // and [T, E·r] is far more
    const int64_t kept = kTokens * (2 * kRank + 6 * kExperts) * 4;  // h of the chosen rows, U, gates
    const auto watch = std::make_shared<Watch>();
    {
      const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, watch);
      nn::RoutingReport report;
      const at::Tensor y = site.forward(x, ctx, report);
      const at::Tensor loss = y.sum() + site.set->auxiliary_loss(report);
      EXPECT_LE(watch->largest, wide);
      EXPECT_LE(watch->alive, wide + kept + (1 << 20));
      loss.backward();
    }
    EXPECT_LE(watch->largest, wide);
    EXPECT_GT(site.set->parameters().grads().abs().sum().item<double>(), 0.0);
  }
}

TEST(Allocation, Feed_forward_experts_make_nothing_of_tokens_x_experts_x_inner_width) {
  constexpr int64_t kTokens = 4096, kWidth = 64, kInner = 256, kExperts = 8, kRank = 4;
  OneSite block(at::zeros({kInner, kWidth}) + 0.01, at::zeros({kInner, kWidth}) + 0.02,
                at::zeros({kWidth, kInner}) + 0.03, nn::Activation::kSilu,
                {{"experts", {{"kind", "ffn_experts"}, {"r", kRank}, {"num_experts", kExperts}}},
                 {"router", {{"kind", "top_k"}, {"top_k", 2}}},
                 {"losses", {{{"kind", "balance"}}}}});
  block.set->initialize(1);
  const at::Tensor x = at::sin(at::arange(kTokens * kWidth, at::kFloat)).view({kTokens, kWidth}).requires_grad_(true);
  nn::BatchContext ctx;
  ctx.batch = 1;
  ctx.length = kTokens;
  ctx.phase = nn::Phase::kTrain;

  const int64_t inner = kTokens * kInner * 4;  // one [T, f]
  const auto watch = std::make_shared<Watch>();
  at::Tensor loss;
  {
    const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, watch);
    nn::RoutingReport report;
    const at::Tensor y = block.forward(x, ctx, report);
    loss = y.sum() + block.set->auxiliary_loss(report);
    EXPECT_LE(watch->largest, inner);
    // What the graph keeps: the two base products, the down products twice (once as parts), z, y and small change.
    EXPECT_LE(watch->alive, 2 * inner + kTokens * (5 * kExperts * kRank + 2 * kWidth) * 4 + (1 << 20));
    loss.backward();
  }
  EXPECT_LE(watch->largest, inner);
}

}  // namespace
}  // namespace morex::test
