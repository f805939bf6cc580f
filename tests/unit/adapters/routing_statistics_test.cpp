// What sites hand to the tally, and how alike experts are: against forms written out.
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>

#include <cmath>

#include "../../property/adapters/flat_experts.h"
#include "adapters/expert_similarity.h"
#include "adapters/routing_summary.h"
#include "support/golden_tensors.h"

namespace morex::test {
namespace {

const Json kExpertsOf4 = {{"kind", "low_rank_experts"}, {"r", 2}, {"num_experts", 4}};

// One adapted projection with numbers in every tensor, its tally and details of one pass.
struct Seen {
  Seen(const Json& recipe, const nn::BatchContext& ctx, int64_t d_in = kIn)
      : Seen(std::make_unique<OneSite>(filler(1, {kOut, d_in}), at::Tensor(), recipe), ctx, d_in) {}
  Seen(std::unique_ptr<OneSite> made, const nn::BatchContext& ctx, int64_t d_in)
      : site(std::move(made)), tally(site->set->routed_gates()) {
    const at::NoGradGuard guard;
    int64_t number = 10;
    for (const std::string& name : site->names()) site->value(name).copy_(filler(number++, site->value(name).sizes()));
    report.keep_details = true;
    report.tally = &tally;
    site->forward(filler(0, {ctx.batch * ctx.length, d_in}) * 1.5, ctx, report);
    tally.flush();
  }
  at::Tensor detail(const std::string& name) const { return report.details.at(site->module + "." + name); }
  nn::GateNumbers numbers(size_t gate = 0) const { return tally.numbers().at(gate); }

  std::unique_ptr<OneSite> site;
  nn::RoutingTally tally;
  nn::RoutingReport report;
};

nn::BatchContext ten_tokens() {
  nn::BatchContext ctx;
  ctx.batch = 2;
  ctx.length = 5;
  return ctx;
}

double mean_entropy(const at::Tensor& p) {  // [n, E]
  const at::Tensor q = p.abs() / p.abs().sum(1, true);
  return -at::where(q > 0, q * q.log(), at::zeros_like(q)).sum().item<double>() / static_cast<double>(p.size(0)) /
         std::log(static_cast<double>(p.size(1)));
}

void expect_numbers(const nn::GateNumbers& seen, const at::Tensor& gates, const at::Tensor& pi) {
  EXPECT_EQ(seen.rows, static_cast<double>(gates.size(0)));
  for (int64_t e = 0; e < gates.size(1); ++e) {
    EXPECT_NEAR(seen.share[static_cast<size_t>(e)], gates.select(1, e).ne(0).to(at::kDouble).mean().item<double>(),
                1e-12);
    EXPECT_NEAR(seen.weight[static_cast<size_t>(e)], gates.select(1, e).mean().item<double>(), 1e-12);
  }
  EXPECT_NEAR(seen.entropy, mean_entropy(pi), 1e-10);
  EXPECT_NEAR(seen.entropy_after, mean_entropy(gates), 1e-10);
}

TEST(RoutingStatistics, A_flat_choice_is_counted_as_it_is_made) {
  for (const char* router : {R"({"kind": "top_k", "top_k": 2})", R"({"kind": "softmax"})", R"({"kind": "threshold"})",
                             R"({"kind": "top_p", "top_p": 0.7})", R"({"kind": "switch", "expert_capacity": 2})",
                             R"({"kind": "mixture_of_routers", "router": {"kind": "top_k", "top_k": 2}})"}) {
    SCOPED_TRACE(router);
    const Seen seen({{"experts", kExpertsOf4}, {"router", parse_json(router, "test")}}, ten_tokens());
    expect_numbers(seen.numbers(), seen.detail("g"), seen.detail("pi"));
  }
}

TEST(RoutingStatistics, A_prior_changes_what_is_counted) {
  nn::BatchContext ctx = ten_tokens();
  ctx.per_sequence["cluster_scores"] = filler(5, {2, 6});
  const Seen seen({{"experts", {{"kind", "rank_one_pairs"}, {"rank_allocation", {2, 3}}}},
                   {"router", {{"kind", "pair_softmax"}}},
                   {"prior", {{"kind", "clusters"}, {"top_k", 4}}}},
                  ctx);
  ASSERT_EQ(seen.tally.gates().size(), 1u);
  EXPECT_EQ(seen.tally.gates()[0].experts, 6);
  expect_numbers(seen.numbers(), seen.detail("m"), seen.detail("pi"));
}

TEST(RoutingStatistics, Padding_does_not_count) {
  nn::BatchContext ctx = ten_tokens();
  ctx.token_mask = at::tensor({1, 1, 1, 0, 0, 1, 1, 1, 1, 0}, at::kLong).to(at::kBool).view({2, 5});
  const Seen seen({{"experts", kExpertsOf4}, {"router", {{"kind", "top_k"}}}}, ctx);
  const at::Tensor real = ctx.token_mask.flatten();
  expect_numbers(seen.numbers(), seen.detail("g").index({real}), seen.detail("pi").index({real}));
}

TEST(RoutingStatistics, Every_level_of_a_tree_counts_its_nodes) {
  for (const char* gate : {"switch", "dense"}) {
    SCOPED_TRACE(gate);
    const Seen seen({{"experts", {{"kind", "tree"}, {"ranks", {2, 3}}, {"pool", {3, 4}}, {"active", {3, 4}}}},
                     {"router", {{"kind", "tree_keys"}, {"gate", gate}}}},
                    ten_tokens());
    ASSERT_EQ(seen.tally.gates().size(), 2u);
    for (int64_t level = 0; level < 2; ++level) {
      // With every expert chosen the weights are the distribution, in another order.
      const int64_t experts = level == 0 ? 3 : 4, nodes = level == 0 ? 4 : 1;
      const std::string name = "level" + std::to_string(level);
      at::Tensor scores = seen.detail(name + ".scores").reshape({-1, experts});
      if (std::string(gate) == "switch")
        scores = at::zeros_like(scores).scatter(1, seen.detail(name + ".ids").reshape({-1, experts}), scores);
      EXPECT_EQ(scores.size(0), 10 * nodes);
      expect_numbers(seen.numbers(static_cast<size_t>(level)), scores, scores);
    }
  }
}

TEST(RoutingStatistics, Few_of_a_trees_experts_make_the_entropy_smaller) {
  const Seen seen({{"experts", {{"kind", "tree"}, {"ranks", {2, 3}}, {"pool", {4, 4}}, {"active", {2, 1}}}},
                   {"router", {{"kind", "tree_keys"}}}},
                  ten_tokens());
  EXPECT_EQ(seen.numbers(1).entropy_after, 0.0);  // one expert at the top
  EXPECT_GT(seen.numbers(1).entropy, 0.0);
  double share = 0;
  for (const double value : seen.numbers(0).share) share += value;
  EXPECT_NEAR(share, 2.0, 1e-12);
}

TEST(RoutingStatistics, Feed_forward_experts_and_many_chunks_are_counted_once) {
  constexpr int64_t kLong = 40000;
  nn::BatchContext ctx;
  ctx.batch = 1;
  ctx.length = kLong;
  ctx.phase = nn::Phase::kTrain;
  const Seen chunked({{"experts", {{"kind", "tree"}, {"ranks", {2, 2}}, {"pool", {2, 2}}, {"active", {1, 1}}}},
                      {"router", {{"kind", "tree_keys"}}}},
                     ctx);
  EXPECT_EQ(chunked.numbers(0).rows, static_cast<double>(kLong));
  const Json recipe = {{"experts", {{"kind", "ffn_experts"}, {"r", 2}, {"num_experts", 4}}},
                       {"router", {{"kind", "top_k"}, {"top_k", 2}}}};
  const Seen block(std::make_unique<OneSite>(filler(1, {7, kIn}), filler(2, {7, kIn}), filler(3, {kIn, 7}),
                                             nn::Activation::kSilu, recipe),
                   ten_tokens(), kIn);
  expect_numbers(block.numbers(), block.detail("g"), block.detail("pi"));
}

TEST(RoutingStatistics, Nobody_asks_and_nothing_changes) {
  const Json recipe = {{"experts", kExpertsOf4}, {"router", {{"kind", "top_k"}}}};
  const Seen seen(recipe, ten_tokens());
  nn::RoutingReport plain;
  const at::NoGradGuard guard;
  const at::Tensor x = filler(0, {10, kIn}) * 1.5;
  nn::RoutingReport tallied;
  nn::RoutingTally tally(seen.site->set->routed_gates());
  tallied.tally = &tally;
  EXPECT_TRUE(same_bits(seen.site->forward(x, ten_tokens(), plain), seen.site->forward(x, ten_tokens(), tallied)));
}

// Cosines of whole [d_out, d_in] updates.
at::Tensor cosines_by_hand(const std::vector<at::Tensor>& updates) {
  const auto count = static_cast<int64_t>(updates.size());
  at::Tensor cosines = at::zeros({count, count}, at::kDouble);
  for (int64_t i = 0; i < count; ++i)
    for (int64_t j = 0; j < count; ++j) {
      const at::Tensor &a = updates[static_cast<size_t>(i)], &b = updates[static_cast<size_t>(j)];
      cosines[i][j] = (a * b).sum() / (a.norm() * b.norm());
    }
  return cosines;
}

std::vector<at::Tensor> experts_updates(const OneSite& site, int64_t experts, bool shared_a) {
  std::vector<at::Tensor> updates;
  for (int64_t e = 0; e < experts; ++e) {
    const std::string name = "experts." + std::to_string(e) + ".";
    updates.push_back(site.value(name + "lora_B.weight").mm(site.value((shared_a ? "" : name) + "lora_A.weight")));
  }
  return updates;
}

TEST(ExpertSimilarity, Low_rank_experts) {
  for (const bool shared : {false, true}) {
    Json experts = kExpertsOf4;
    experts["shared_a"] = shared;
    const Seen seen({{"experts", experts}, {"router", {{"kind", "top_k"}}}}, ten_tokens());
    EXPECT_TRUE(
        near(seen.site->set->expert_cosines().at(0), cosines_by_hand(experts_updates(*seen.site, 4, shared)), 1e-12));
  }
}

TEST(ExpertSimilarity, Rank_one_pairs_in_every_layout) {
  for (const char* layout : {"pairs", "matched", "interleaved"}) {
    SCOPED_TRACE(layout);
    const std::string name = layout;
    Json experts = {{"kind", "rank_one_pairs"}, {"layout", layout}, {"rank_allocation", {4, name == "pairs" ? 3 : 4}}};
    if (name == "interleaved") experts["num_experts"] = 2;
    const Seen seen({{"experts", experts}, {"router", {{"kind", "pair_softmax"}}}}, ten_tokens());
    const at::Tensor a = seen.site->value("lora_A.weight"), b = seen.site->value("lora_B.weight");
    std::vector<at::Tensor> updates;
    if (name == "pairs") {
      for (int64_t i = 0; i < 4; ++i)
        for (int64_t j = 0; j < 3; ++j) updates.push_back(at::outer(b.select(1, j), a.select(0, i)));
    } else {
      const int64_t count = name == "matched" ? 4 : 2;
      for (int64_t e = 0; e < count; ++e) {
        at::Tensor update = at::zeros({kOut, kIn}, at::kDouble);
        for (int64_t r = e; r < 4; r += count) update += at::outer(b.select(1, r), a.select(0, r));
        updates.push_back(update);
      }
    }
    EXPECT_TRUE(near(seen.site->set->expert_cosines().at(0), cosines_by_hand(updates), 1e-12));
  }
}

TEST(ExpertSimilarity, Trees_level_by_level) {
  for (const bool shared : {false, true}) {
    const Seen seen(
        {{"experts", {{"kind", "tree"}, {"ranks", {2, 2}}, {"pool", {3, 3}}, {"active", 1}, {"shared_pool", shared}}},
         {"router", {{"kind", "tree_keys"}}}},
        ten_tokens());
    for (int64_t level = 0; level < 2; ++level) {
      const std::string number = std::to_string(shared ? 0 : level);
      const at::Tensor a = seen.site->value("moe_A." + number), b = seen.site->value("moe_B." + number);
      std::vector<at::Tensor> updates;
      for (int64_t e = 0; e < 3; ++e) updates.push_back(b[e].mm(a[e]));
      EXPECT_TRUE(
          near(seen.site->set->expert_cosines().at(static_cast<size_t>(level)), cosines_by_hand(updates), 1e-12));
    }
  }
}

TEST(ExpertSimilarity, Feed_forward_experts_over_their_three_projections) {
  const Json recipe = {{"experts", {{"kind", "ffn_experts"}, {"r", 2}, {"num_experts", 3}}},
                       {"router", {{"kind", "top_k"}, {"top_k", 2}}}};
  const Seen seen(std::make_unique<OneSite>(filler(1, {7, kIn}), filler(2, {7, kIn}), filler(3, {kIn, 7}),
                                            nn::Activation::kSilu, recipe),
                  ten_tokens(), kIn);
  std::vector<at::Tensor> updates;
  for (int64_t e = 0; e < 3; ++e) {
    std::vector<at::Tensor> parts;
    for (const char* projection : {"gate_proj", "up_proj", "down_proj"}) {
      const std::string name = std::string(projection) + ".experts." + std::to_string(e) + ".lora_";
      parts.push_back(seen.site->value(name + "B.weight").mm(seen.site->value(name + "A.weight")).flatten());
    }
    updates.push_back(at::cat(parts));
  }
  EXPECT_TRUE(near(seen.site->set->expert_cosines().at(0), cosines_by_hand(updates), 1e-12));
}

TEST(ExpertSimilarity, An_update_of_zero_has_no_direction) {
  OneSite fresh(filler(1, {kOut, kIn}), {}, {{"experts", kExpertsOf4}, {"router", {{"kind", "top_k"}}}});
  fresh.set->initialize(1);  // B = 0
  const at::Tensor cosines = fresh.set->expert_cosines().at(0);
  EXPECT_TRUE(cosines.isnan().all().item<bool>());
  EXPECT_TRUE(std::isnan(adapters::mean_cosine(cosines)));
  OneSite plain(filler(1, {kOut, kIn}), {}, {{"r", 2}});
  EXPECT_TRUE(plain.set->routed_sites().empty());
  EXPECT_TRUE(plain.set->expert_cosines().empty());
}

TEST(RoutingSummary, Means_over_gates_and_a_count_of_the_dead) {
  nn::GateNumbers busy, even, unseen;
  busy.rows = 10, busy.share = {1.0, 0.6, 0.4, 0.0}, busy.weight = {0.5, 0.3, 0.2, 0.0};
  busy.entropy = 0.4, busy.entropy_after = 0.2;
  even.rows = 5, even.share = {1, 1}, even.weight = {-0.5, 0.5};
  even.entropy = std::nan(""), even.entropy_after = 1.0;
  unseen.share = {0, 0}, unseen.weight = {0, 0};
  const adapters::RoutingSummary summary = adapters::summarise({busy, even, unseen}, {0.2, std::nan(""), 0.4});
  EXPECT_DOUBLE_EQ(summary.entropy, 0.4);
  EXPECT_DOUBLE_EQ(summary.entropy_after, 0.6);
  EXPECT_DOUBLE_EQ(summary.max_share, (0.5 + 0.5) / 2);
  EXPECT_DOUBLE_EQ(summary.max_weight, (0.5 + 0.5) / 2);
  EXPECT_DOUBLE_EQ(summary.similarity, 0.3);
  EXPECT_EQ(summary.dead_experts, 1);
  EXPECT_EQ(adapters::dead_experts(busy), (std::vector<int64_t>{3}));
}

}  // namespace
}  // namespace morex::test
