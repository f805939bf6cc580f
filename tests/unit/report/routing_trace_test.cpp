// What the trace says of a routed model, against the details of its passes.
#include "report/routing_trace.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "base/error.h"
#include "support/golden_tensors.h"
#include "unit/report/traced_model.h"

namespace morex::test {
namespace {

const Json kMola = {{"method", "mola"}, {"experts", {{"num_experts", 4}, {"r", 2}}}, {"target_modules", {"up_proj"}}};
const Json kSmore = {{"method", "smore"},
                     {"target_modules", {"up_proj"}},
                     {"experts", {{"ranks", {2, 3}}, {"pool", {3, 4}}, {"active", {2, 2}}}}};

// Both sequences' details, one after another.
at::Tensor both(const TracedModel& traced, const std::string& name) {
  return at::cat({traced.details(0).at(name), traced.details(1).at(name)});
}

TEST(RoutingTrace, Flat_gates_of_every_token_and_numbers_over_all) {
  const TracedModel traced(kMola);
  const report::RoutingTrace trace = traced.trace();
  EXPECT_EQ(trace.tokens, 15);
  EXPECT_EQ(trace.shown, 15);
  ASSERT_EQ(trace.sites.size(), static_cast<size_t>(traced.model->config().num_hidden_layers));
  for (const report::TracedSite& site : trace.sites) {
    const at::Tensor g = both(traced, site.site.module + ".g");
    ASSERT_EQ(site.gates.size(), 1u);
    EXPECT_TRUE(near(site.gates[0].weights, g, 0));
    EXPECT_EQ(site.gates[0].numbers.rows, 15);
    for (int64_t e = 0; e < 4; ++e)
      EXPECT_NEAR(site.gates[0].numbers.weight[static_cast<size_t>(e)], g.select(1, e).mean().item<double>(), 1e-6);
    EXPECT_TRUE(site.gates[0].cosines.defined());
    EXPECT_TRUE(std::isnan(site.omega) && site.paths.empty() && site.gates[0].main_mean.empty());
  }
}

TEST(RoutingTrace, Paths_and_flows_of_a_tree_are_products_of_its_gates) {
  const TracedModel traced(kSmore);
  const report::RoutingTrace trace = traced.trace();
  const report::TracedSite& site = trace.sites.at(1);
  const auto detail = [&](const std::string& name) { return both(traced, site.site.module + "." + name); };
  const at::Tensor top = detail("level1.ids"), bottom = detail("level0.ids");  // [15, 2], [15, 2, 2]
  const at::Tensor top_w = detail("level1.scores"), bottom_w = detail("level0.scores");
  std::map<std::vector<int64_t>, double> paths;
  for (int64_t t = 0; t < 15; ++t)
    for (int64_t i = 0; i < 2; ++i)
      for (int64_t j = 0; j < 2; ++j)
        paths[{top[t][i].item<int64_t>(), bottom[t][i][j].item<int64_t>()}] +=
            top_w[t][i].item<double>() * bottom_w[t][i][j].item<double>() / 15;
  double total = 0, flow = 0;
  for (const report::TreePath& path : site.paths) {
    EXPECT_NEAR(path.weight, paths.at(path.experts), 1e-6);
    total += path.weight;
  }
  EXPECT_EQ(site.paths.size(), paths.size());
  EXPECT_NEAR(total, 1.0, 1e-5);
  ASSERT_EQ(site.flows.size(), 1u);
  for (int64_t i = 0; i < 4; ++i)
    for (int64_t j = 0; j < 3; ++j) {
      const double value = site.flows[0][static_cast<size_t>(i)][static_cast<size_t>(j)];
      const auto found = paths.find({i, j});
      EXPECT_NEAR(value, found == paths.end() ? 0.0 : found->second, 1e-6);
      flow += value;
    }
  EXPECT_NEAR(flow, 1.0, 1e-5);
  EXPECT_TRUE(at::equal(site.gates[1].ids, top));
  EXPECT_TRUE(at::equal(site.gates[0].ids, bottom.flatten(1)));
  EXPECT_TRUE(near(site.gates[0].weights, bottom_w.flatten(1), 0));
}

TEST(RoutingTrace, Dense_trees_need_no_ids) {
  Json recipe = kSmore;
  recipe["router"] = {{"gate", "dense"}};
  const report::RoutingTrace trace = TracedModel(recipe).trace();
  EXPECT_FALSE(trace.sites[0].gates[0].ids.defined());
  EXPECT_EQ(trace.sites[0].gates[0].weights.size(1), 12);
  EXPECT_EQ(trace.sites[0].paths.size(), 12u);
}

TEST(RoutingTrace, Sub_routers_weights_and_how_often_they_agree) {
  Json mor = kMola;
  mor["method"] = "mor";
  mor["router"] = {{"num_routers", 3}};
  const TracedModel traced(mor);
  const report::RoutingTrace trace = traced.trace();
  const report::TracedGate& gate = trace.sites[0].gates[0];
  const at::Tensor main = both(traced, trace.sites[0].site.module + ".main");
  const at::Tensor firsts = at::argmax(both(traced, trace.sites[0].site.module + ".logits"), 2);  // [15, 3]
  EXPECT_TRUE(near(gate.main, main, 0));
  EXPECT_TRUE(at::equal(gate.firsts, firsts));
  int64_t agreeing = 0;
  for (int64_t t = 0; t < 15; ++t) agreeing += firsts[t].eq(firsts[t][0]).all().item<bool>();
  EXPECT_NEAR(gate.agreement, agreeing / 15.0, 1e-12);
  EXPECT_NEAR(std::accumulate(gate.main_mean.begin(), gate.main_mean.end(), 0.0), 1.0, 1e-5);
}

TEST(RoutingTrace, A_mixture_in_a_tree_is_seen_at_every_level) {
  Json mor = kSmore;
  mor["router"] = {{"kind", "mixture_of_routers"}, {"router", {{"kind", "tree_keys"}}}};
  const report::RoutingTrace trace = TracedModel(mor).trace();
  for (const report::TracedGate& gate : trace.sites[0].gates) {
    EXPECT_EQ(gate.main.size(0), 15);
    EXPECT_EQ(gate.firsts.size(1), 2);
    EXPECT_EQ(gate.main_mean.size(), 2u);
  }
}

TEST(RoutingTrace, Pairs_have_their_learned_gates) {
  const report::RoutingTrace trace =
      TracedModel({{"method", "trex"},
                   {"experts", {{"kind", "rank_one_pairs"}, {"rank_allocation", {2, 3}}}},
                   {"prior", {{"kind", "clusters"}, {"use_scores", false}}}})
          .trace();
  EXPECT_EQ(trace.sites[0].gates[0].weights.size(1), 6);
  for (const double value : {trace.sites[0].omega, trace.sites[0].gamma}) EXPECT_TRUE(value >= 0 && value <= 1);
}

TEST(RoutingTrace, Only_whole_sequences_are_shown_and_the_first_always) {
  const TracedModel traced(kMola);
  for (const auto& [limit, shown] : {std::pair<int64_t, int64_t>{1, 9}, {14, 9}, {15, 15}}) {
    report::TraceOptions options;
    options.shown_tokens = limit;
    const report::RoutingTrace trace = traced.trace(options);
    EXPECT_EQ(trace.shown, shown);
    EXPECT_EQ(trace.sites[0].gates[0].weights.size(0), shown);
    EXPECT_EQ(trace.sites[0].gates[0].numbers.rows, 15);
  }
}

TEST(RoutingTrace, One_layer_may_be_asked_for) {
  const TracedModel traced(kMola);
  report::TraceOptions options;
  options.layer = 1;
  const report::RoutingTrace trace = traced.trace(options);
  ASSERT_EQ(trace.sites.size(), 1u);
  EXPECT_EQ(trace.sites[0].site.layer, 1);
  options.layer = 77;
  EXPECT_THROW(traced.trace(options), Error);
}

TEST(RoutingTrace, Nothing_routed_is_refused) {
  try {
    TracedModel({{"method", "lora"}, {"r", 2}}).trace();
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kConfig);
    EXPECT_NE(std::string(error.what()).find("no routing"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace morex::test
