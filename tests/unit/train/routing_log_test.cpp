// The routing in a run's logs: what is written, and that a resumed run writes it as if it had never stopped.
#include "train/routing_log.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "base/files.h"
#include "unit/train/tiny_run.h"

namespace morex::test {
namespace {

const Json kSmore = {{"method", "smore"},
                     {"target_modules", {"gate_proj", "up_proj"}},
                     {"experts", {{"ranks", {2, 2}}, {"pool", {3, 4}}, {"active", {2, 2}}}},
                     {"logging_steps", 2},
                     {"gradient_accumulation_steps", 2}};

constexpr const char* kKeys[] = {"routing_entropy",    "routing_entropy_after", "routing_max_share",
                                 "routing_max_weight", "routing_dead_experts",  "expert_similarity"};

TEST(RoutingLog, A_run_writes_a_few_means_and_every_gate_beside_them) {
  const TinyRun tiny("routing");
  run(tiny.recipe("out", kSmore));
  const std::vector<Json> metrics = lines_with(tiny.output("out") / "metrics.jsonl", "loss");
  const std::vector<Json> routing = lines(tiny.output("out") / "routing.jsonl");
  ASSERT_EQ(metrics.size(), 3u);
  ASSERT_EQ(routing.size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    for (const char* key : kKeys) EXPECT_TRUE(metrics[i].at(key).is_number()) << key;
    EXPECT_EQ(routing[i]["step"], metrics[i]["step"]);
    const Json& gates = routing[i]["gates"];
    double entropy = 0, dead = 0;
    for (const Json& gate : gates) {
      EXPECT_EQ(gate["share"].size(), gate["level"] == 0 ? 3u : 4u);
      double share = 0;
      for (const Json& value : gate["share"]) share += value.get<double>();
      EXPECT_NEAR(share, 2.0, 1e-3);  // two experts for each row
      entropy += gate["entropy"].get<double>();
      dead += static_cast<double>(gate["dead"].size());
      // Rows since the last line: all tokens of two steps, two nodes each at the bottom.
      EXPECT_EQ(gate["rows"].get<int64_t>() % (gate["level"] == 0 ? 2 : 1), 0);
    }
    EXPECT_NEAR(entropy / static_cast<double>(gates.size()), metrics[i]["routing_entropy"].get<double>(), 1e-3);
    EXPECT_EQ(dead, metrics[i]["routing_dead_experts"].get<double>());
  }
  const int64_t tokens = metrics[1]["tokens"].get<int64_t>() - metrics[0]["tokens"].get<int64_t>();
  EXPECT_EQ(routing[1]["gates"][1]["rows"], tokens);
}

TEST(RoutingLog, Interrupted_after_every_step_it_says_the_same) {
  const TinyRun tiny("routing_resume");
  run(tiny.recipe("whole", kSmore));
  run_step_by_step(tiny.recipe("parts", kSmore));
  EXPECT_EQ(adapter_bytes(tiny.output("whole")), adapter_bytes(tiny.output("parts")));
  const auto routing = [&](const char* name) { return read_text_file(tiny.output(name) / "routing.jsonl"); };
  EXPECT_EQ(routing("whole"), routing("parts"));
  const auto whole = lines_with(tiny.output("whole") / "metrics.jsonl", "loss"),
             parts = lines_with(tiny.output("parts") / "metrics.jsonl", "loss");
  ASSERT_EQ(whole.size(), parts.size());
  for (size_t i = 0; i < whole.size(); ++i)
    for (const char* key : kKeys) EXPECT_EQ(whole[i][key], parts[i][key]) << key << " in line " << i;
}

TEST(RoutingLog, A_torn_line_and_steps_to_come_are_cut_on_a_resume) {
  const TinyRun tiny("routing_torn");
  Json recipe = tiny.recipe("out", kSmore);
  recipe["save_steps"] = 2;
  run(recipe);
  const std::string whole = read_text_file(tiny.output("out") / "routing.jsonl");
  std::filesystem::remove_all(tiny.output("out") / "checkpoint-6");
  std::ofstream(tiny.output("out") / "routing.jsonl", std::ios::app) << "{\"step\": 8, \"gat";
  recipe["resume_from_checkpoint"] = "auto";
  run(recipe);
  EXPECT_EQ(read_text_file(tiny.output("out") / "routing.jsonl"), whole);
}

TEST(RoutingLog, Where_nothing_is_routed_there_is_none) {
  const TinyRun tiny("routing_none");
  run(tiny.recipe("out", {{"max_steps", 1}}));
  EXPECT_FALSE(std::filesystem::exists(tiny.output("out") / "routing.jsonl"));
  EXPECT_FALSE(lines(tiny.output("out") / "metrics.jsonl").front().contains("routing_entropy"));
}

TEST(RoutingLog, Looking_does_not_change_the_result) {
  const TinyRun tiny("routing_often");
  Json often = kSmore;
  often["logging_steps"] = 1;
  run(tiny.recipe("often", often));
  often["logging_steps"] = 0;
  run(tiny.recipe("once", often));
  EXPECT_EQ(adapter_bytes(tiny.output("often")), adapter_bytes(tiny.output("once")));
}

TEST(RoutingLog, Numbers_that_do_not_exist_are_left_out) {
  const nn::RoutingTally tally({{"a", 0, 0, 2}});
  const train::RoutingLog log = train::describe_routing(tally, {at::Tensor()});
  EXPECT_FALSE(log.metrics.contains("routing_entropy"));
  EXPECT_EQ(log.metrics["routing_dead_experts"], 0);
  EXPECT_TRUE(log.line["gates"][0]["entropy"].is_null());
  EXPECT_TRUE(log.line["gates"][0]["similarity"].is_null());
  for (const auto& [tag, value] : log.scalars) EXPECT_TRUE(std::isfinite(value)) << tag;
}

}  // namespace
}  // namespace morex::test
