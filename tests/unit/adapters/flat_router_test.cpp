// Flat routers by hand, and what they refuse.
#include <ATen/ops/equal.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "../../property/adapters/flat_experts.h"
#include "support/golden_tensors.h"

namespace morex::test {
namespace {

// Gates of probabilities given directly: the router reads their logarithms from the first columns of x.
at::Tensor gates(const std::string& router, const at::Tensor& pi, int64_t length, nn::RoutingReport& report) {
  FlatExperts experts("{}", router);
  experts.ctx.batch = pi.size(0) / length;
  experts.ctx.length = length;
  at::Tensor weight = at::zeros({kExperts, kIn}, at::kDouble);
  for (int64_t e = 0; e < kExperts; ++e) weight[e][e] = 1.0;
  experts.set("moe_gate.weight", weight);
  at::Tensor x = at::zeros({pi.size(0), kIn}, at::kDouble);
  x.narrow(1, 0, kExperts).copy_(pi.log());
  report.keep_details = true;
  const at::NoGradGuard guard;
  experts.site->forward(x, experts.ctx, report);
  return report.details.at(kSiteModule + ".g");
}

const at::Tensor& probabilities() {
  static const at::Tensor pi =
      at::tensor({0.5, 0.3, 0.15, 0.05, 0.1, 0.6, 0.1, 0.2, 0.4, 0.1, 0.1, 0.4, 0.55, 0.2, 0.15, 0.1}, at::kDouble)
          .view({4, 4});
  return pi;
}

TEST(FlatRouter, Top_p_keeps_the_expert_that_crosses) {
  nn::RoutingReport report;
  const at::Tensor expected =
      at::tensor({0.5, 0.3, 0.0, 0.0, 0.0, 0.6, 0.0, 0.2, 0.4, 0.0, 0.0, 0.4, 0.55, 0.2, 0.0, 0.0}, at::kDouble);
  EXPECT_TRUE(
      near(gates(R"({"kind": "top_p", "top_p": 0.7})", probabilities(), 4, report), expected.view({4, 4}), 1e-14));
}

TEST(FlatRouter, Entropy_leaves_the_crossing_expert_out) {
  nn::RoutingReport report;
  const at::Tensor expected =
      at::tensor({0.5, 0.0, 0.0, 0.0, 0.0, 0.6, 0.0, 0.0, 0.4, 0.0, 0.0, 0.0, 0.55, 0.0, 0.0, 0.0}, at::kDouble);
  const std::string router = R"({"kind": "entropy", "top_p": 0.7, "keep_top_k": 1, "entropy_threshold": 1})";
  EXPECT_TRUE(near(gates(router, probabilities(), 4, report), expected.view({4, 4}), 1e-14));
}

TEST(FlatRouter, A_switch_has_room_for_its_capacity_in_each_sequence) {
  nn::RoutingReport report;
  // Experts 0, 1, 0, 0: in one sequence of four the second and third 0 find no room, in two of two only the last.
  gates(R"({"kind": "switch", "expert_capacity": 1})", probabilities(), 4, report);
  EXPECT_TRUE(at::equal(report.details.at(kSiteModule + ".overflow"), at::tensor({0, 0, 1, 1}, at::kLong)));
  gates(R"({"kind": "switch", "expert_capacity": 1})", probabilities(), 2, report);
  EXPECT_TRUE(at::equal(report.details.at(kSiteModule + ".overflow"), at::tensor({0, 0, 0, 1}, at::kLong)));
}

TEST(FlatRouter, A_token_without_room_keeps_the_base) {
  FlatExperts none("{}", R"({"kind": "switch", "expert_capacity": 0})");
  EXPECT_TRUE(near(none.run(), none.base(), 1e-14));
}

// More tokens than one chunk of the middle holds: chunks end with a sequence where its tokens depend on each other.
TEST(FlatRouter, A_capacity_does_not_see_how_a_batch_is_cut) {
  constexpr int64_t kLength = 60000, kSequences = 3;
  FlatExperts experts("{}", R"({"kind": "switch", "expert_capacity": 10000})", R"([{"kind": "localized", "coef": 1}])");
  const at::Tensor x = filler(0, {kSequences * kLength, kIn});
  const auto run = [&](int64_t first, int64_t count) {
    experts.ctx.batch = count;
    experts.ctx.length = kLength;
    experts.ctx.per_sequence["sample_types"] = at::zeros({count}, at::kLong);
    experts.report = {};
    experts.report.keep_details = true;
    const at::NoGradGuard guard;
    return experts.site->forward(x.narrow(0, first * kLength, count * kLength), experts.ctx, experts.report);
  };
  const at::Tensor all = run(0, kSequences), overflow = experts.detail("overflow");
  EXPECT_GT(overflow.sum().item<int64_t>(), 0);
  const at::Tensor sums = experts.report.gates.at(0).sums.at("by_sequence");
  for (int64_t i = 0; i < kSequences; ++i) {
    EXPECT_TRUE(near(run(i, 1), all.narrow(0, i * kLength, kLength), 1e-12));
    EXPECT_TRUE(at::equal(experts.detail("overflow"), overflow.narrow(0, i * kLength, kLength)));
    EXPECT_TRUE(near(experts.report.gates.at(0).sums.at("by_sequence")[0], sums[i], 1e-8));
  }
}

TEST(FlatRouter, Noise_is_the_same_however_it_is_asked_for) {
  FlatExperts noisy("{}", R"({"kind": "noisy_top_k", "top_k": 2})");
  const at::Tensor quiet = noisy.run();
  noisy.ctx.phase = nn::Phase::kTrain;
  const at::Tensor first = noisy.run(), again = noisy.run();
  EXPECT_TRUE(at::equal(first, again));
  EXPECT_FALSE(at::equal(first, quiet));
  noisy.ctx.step = 1;
  EXPECT_FALSE(at::equal(noisy.run(), first));
  noisy.ctx.given_noise[kSiteModule + ".0"] = at::zeros({kTokens, kExperts}, at::kDouble);
  EXPECT_TRUE(near(noisy.run(), quiet, 1e-12));
}

TEST(FlatRouter, Padding_counts_where_a_loss_says_so) {
  const std::string all = R"([{"kind": "entropy", "coef": 1, "padding": true}])",
                    real = R"([{"kind": "entropy", "coef": 1}])";
  FlatExperts with("{}", R"({"kind": "entropy"})", all), without("{}", R"({"kind": "entropy"})", real);
  without.take(with);
  at::Tensor mask = at::zeros({2, kTokens / 2}, at::kBool);
  mask.narrow(1, 0, 3).fill_(true);
  with.ctx.token_mask = without.ctx.token_mask = mask;
  with.run();
  without.run();
  const at::Tensor entropy = with.detail("entropy");
  EXPECT_NEAR(with.loss(), entropy.mean().item<double>(), 1e-13);
  EXPECT_NEAR(without.loss(), (entropy * mask.view({-1})).sum().item<double>() / 6.0, 1e-13);
}

// Runs nothing: the message of what is refused.
std::string refusal(const std::string& experts, const std::string& router, const std::string& losses = "[]") {
  try {
    FlatExperts made(experts, router, losses);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kConfig);
    return error.what();
  }
  return "";
}

TEST(FlatRouter, Bad_options_are_refused_with_what_must_hold) {
  const std::string mola = R"({"kind": "top_k"})";
  const std::vector<std::array<std::string, 4>> cases = {
      {"{}", R"({"kind": "top_k", "top_k": 5})", "[]", "top_k must be at least 1 and at most the number of experts, 4"},
      {"{}", R"({"kind": "top_k", "top_k": 0})", "[]", "top_k must be at least 1"},
      {"{}", R"({"kind": "top_k", "topk": 2})", "[]", "topk"},
      {"{}", R"({"kind": "top_p", "top_p": 0})", "[]", "top_p must be above 0"},
      {"{}", R"({"kind": "switch", "expert_capacity": -1})", "[]", "expert_capacity must be at least 0"},
      {"{}", R"({"kind": "threshold", "threshold": 0.1, "max_threshold": 0.2})", "[]", "give one of them"},
      {"{}", R"({"kind": "threshold", "threshold": 1.5})", "[]", "threshold must be at least 0 and at most 1"},
      {"{}", R"({"kind": "entropy", "entropy_type": "tsalis"})", "[]", "Did you mean"},
      {"{}", R"({"kind": "entropy", "keep_top_k": 9})", "[]", "keep_top_k"},
      {"{}", R"({"kind": "task"})", "[]", "tasks"},
      {"{}", R"({"kind": "tree_keys"})", "[]", "which router tree_keys does not give"},
      {"{}", R"({"kind": "mixture_of_routers"})", "[]", "wraps another router"},
      {"{}", R"({"kind": "mixture_of_routers", "router": {"kind": "none"}})", "[]", "wraps a router of one flat pool"},
      {"{}", R"({"kind": "mixture_of_routers", "num_routers": 2, "main_top_n": 3, "router": {"kind": "top_k"}})", "[]",
       "main_top_n must be at least 1 and at most num_routers"},
      {"{}", R"({"kind": "mixture_of_routers", "select": "topk_then_mix", "router": {"kind": "switch"}})", "[]",
       "choose after mixing"},
      {R"({"num_experts": 0})", mola, "[]", "num_experts must be positive"},
      {R"({"num_experts": []})", mola, "[]", "one for every decoder layer"},
      {R"({"split_rank": true})", mola, "[]", "r must be a multiple of num_experts 4"},
      {R"({"r": 0})", mola, "[]", "r must be positive"},
      {R"({"lora_dropout": 1})", mola, "[]", "lora_dropout"},
      {"{}", mola, R"([{"kind": "balanced"}])", "Did you mean"},
      {"{}", mola, R"([{"kind": "z", "delta": 1}])", "delta"},
      {"{}", mola, R"([{"kind": "localized", "delta": 2}])", "delta must be at least 0"},
      {"{}", mola, R"([{"kind": "entropy"}, {"kind": "entropy", "entropy_index": 2}])", "the same form"},
  };
  for (const auto& [experts, router, losses, expected] : cases) {
    const std::string said = refusal(experts, router, losses);
    EXPECT_NE(said.find(expected), std::string::npos) << experts << router << losses << " said: " << said;
  }
}

TEST(FlatRouter, A_batch_must_bring_what_a_method_reads) {
  FlatExperts tasks("{}", R"({"kind": "task", "tasks": 3})");
  EXPECT_THROW(tasks.run(), Error);
  tasks.ctx.per_sequence["task_ids"] = at::tensor({1, 4}, at::kLong);
  EXPECT_THROW(tasks.run(), Error);
  tasks.ctx.per_sequence["task_ids"] = at::tensor({1, 3}, at::kLong);
  EXPECT_NO_THROW(tasks.run());
  FlatExperts localized("{}", R"({"kind": "softmax"})", R"([{"kind": "localized", "coef": 1}])");
  localized.run();
  EXPECT_THROW(localized.loss(), Error);
}

}  // namespace
}  // namespace morex::test
