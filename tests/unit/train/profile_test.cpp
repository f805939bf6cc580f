// A run's profile: its sums, its files, and that it changes nothing.
#include "train/profile.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <numeric>

#include "adapters/adapter_set.h"
#include "base/files.h"
#include "models/causal_lm.h"
#include "train/chrome_trace.h"
#include "train/phase_work.h"
#include "train/profile_text.h"
#include "unit/train/tiny_run.h"

namespace morex::train {
namespace {

namespace fs = std::filesystem;
using ops::Place;
using ops::TimedEvent;
using ops::TimedKind;
using test::run;
using test::TinyRun;

constexpr auto kFloat = c10::ScalarType::Float;

class MadeRecord {
 public:
  // Times in milliseconds.
  int64_t add(const char* name, TimedKind kind, int64_t parent, int64_t begin, int64_t end, bool backward = false) {
    TimedEvent event;
    event.name = *record.names.emplace(name).first;
    event.kind = kind;
    event.parent = parent;
    event.begin = begin * 1'000'000;
    event.end = end * 1'000'000;
    event.backward = backward;
    record.events.push_back(event);
    return static_cast<int64_t>(record.events.size()) - 1;
  }
  ops::TimeRecord record{{}, {Place{}, Place{0, "q_proj", false}, Place{0, "q_proj", true}}, {}};
};

// Two equal steps of 100 ms: a linear of 40 ms with a product of 30, a call of 5 that stands alone, a backward pass
// with one node of 20, in it a product of 16 inside a call of 18.
MadeRecord two_steps() {
  MadeRecord made;
  for (const int64_t t : {0, 1000}) {
    const int64_t step = made.add("step", TimedKind::kPhase, -1, t, t + 100);
    const int64_t linear = made.add("linear", TimedKind::kOperation, step, t + 10, t + 50);
    made.record.events.back().place = 1;
    made.add("matmul_nt", TimedKind::kProduct, linear, t + 15, t + 45);
    made.record.events.back().place = 1;
    made.record.events.back().flops = 6e9;
    made.record.events.back().dtype = kFloat;
    made.record.events.back().shape = {1, 1000, 3000, 1000};
    made.add("aten::sum", TimedKind::kAten, step, t + 50, t + 55);
    const int64_t back = made.add("backward", TimedKind::kPhase, step, t + 60, t + 90, true);
    const int64_t node = made.add("linear", TimedKind::kOperation, back, t + 65, t + 85, true);
    made.record.events.back().place = 2;
    const int64_t call = made.add("aten::matmul", TimedKind::kAten, node, t + 66, t + 84, true);
    made.record.events.back().place = 2;
    made.add("aten::mm", TimedKind::kProduct, call, t + 67, t + 83, true);
    made.record.events.back().place = 2;
    made.record.events.back().flops = 4e9;
    made.record.events.back().dtype = kFloat;
    made.record.events.back().shape = {1, 1000, 1000, 2000};
  }
  return made;
}

TEST(Profile, Sums_stand_where_they_belong) {
  const MadeRecord made = two_steps();
  const Profile profile = summarize(made.record, {{kFloat, 400e9}});
  EXPECT_EQ(profile.steps, 2);
  EXPECT_DOUBLE_EQ(profile.all.ms, 100);
  EXPECT_DOUBLE_EQ(profile.all.gflop, 10);
  EXPECT_DOUBLE_EQ(profile.all.peak_share(), 0.25);  // 25 of 100 ms
  EXPECT_DOUBLE_EQ(profile.products.ms, 46);
  EXPECT_DOUBLE_EQ(profile.unaccounted_ms, 100 - 40 - 5 - 20);

  ASSERT_EQ(profile.operations.size(), 3u);
  const OperationRow &forward = profile.operations[0], &backward = profile.operations[1], &sum = profile.operations[2];
  EXPECT_EQ(forward.name, "linear");
  EXPECT_FALSE(forward.backward);
  EXPECT_DOUBLE_EQ(forward.spent.ms, 40);
  EXPECT_DOUBLE_EQ(forward.spent.products_ms, 30);
  EXPECT_DOUBLE_EQ(forward.spent.calls, 1);
  EXPECT_DOUBLE_EQ(forward.spent.rate(), 150);
  EXPECT_DOUBLE_EQ(forward.spent.peak_share(), 15.0 / 40);
  EXPECT_TRUE(backward.backward);
  EXPECT_DOUBLE_EQ(backward.spent.ms, 20);
  EXPECT_DOUBLE_EQ(backward.spent.products_ms, 16);
  EXPECT_EQ(sum.name, "aten::sum");

  ASSERT_EQ(profile.products_by_shape.size(), 2u);
  EXPECT_EQ(profile.products_by_shape[0].shape, (std::array<int64_t, 4>{1, 1000, 3000, 1000}));
  EXPECT_DOUBLE_EQ(profile.products_by_shape[0].spent.rate(), 200);
  EXPECT_EQ(profile.products_by_shape[1].inside, "linear");

  ASSERT_EQ(profile.library_calls.size(), 2u);
  EXPECT_EQ(profile.library_calls[0].name, "aten::sum");
  EXPECT_EQ(profile.library_calls[1].name, "aten::matmul");
  EXPECT_DOUBLE_EQ(profile.library_calls[1].spent.ms, 2);
}

TEST(Profile, Layers_and_parts_hold_all_of_the_time) {
  const MadeRecord made = two_steps();
  const Profile profile = summarize(made.record, {{kFloat, 400e9}});
  ASSERT_EQ(profile.layers.size(), 2u);
  EXPECT_EQ(profile.layers[0].layer, -1);
  EXPECT_DOUBLE_EQ(profile.layers[0].all.ms, 40);
  EXPECT_DOUBLE_EQ(profile.layers[1].forward.ms, 40);
  EXPECT_DOUBLE_EQ(profile.layers[1].backward.ms, 20);
  ASSERT_EQ(profile.parts.size(), 2u);
  EXPECT_EQ(profile.parts[0].name, "q_proj");
  EXPECT_DOUBLE_EQ(profile.parts[0].forward.ms, 40);
  EXPECT_DOUBLE_EQ(profile.parts[0].backward.ms, 0);
  EXPECT_DOUBLE_EQ(profile.parts[0].adapter_backward.ms, 20);
  EXPECT_EQ(profile.parts[1].name, "outside of the model");
}

// Every run of spaces as one.
std::string squeezed(const std::string& text) {
  std::string out;
  std::unique_copy(text.begin(), text.end(), std::back_inserter(out),
                   [](char a, char b) { return a == ' ' && b == ' '; });
  return out;
}

TEST(Profile, Text_says_the_shares_and_the_rates) {
  const MadeRecord made = two_steps();
  const PeakRates peaks = {{kFloat, 400e9}};
  const std::string text = squeezed(profile_text(summarize(made.record, peaks), peaks, {3, 4, 2}));
  for (const char* line : {"Profile: the mean of steps 3 to 4, 2 threads, 100.0 ms a step",
                           "Matrix products take 46.0 % of the time, at 217 GF/s, 54.3 % of the peak; the whole step "
                           "reaches 25.0 % of it.",
                           "GF/s: float32 400\n", "\nlinear forward 1 40.00 40.0 % 30.00 6.00 150 37.5 %\n",
                           "\naten::sum forward 1 5.00 5.0 %\n", "\nunaccounted 35.00 35.0 %\n",
                           "\nsum 100.00 100.0 % 46.00 10.00 100 25.0 %\n",
                           "\nmatmul_nt linear float32 1000 3000 1000 1 30.00 30.0 % 200 50.0 %\n",
                           "\nq_proj 40.00 20.00 60.0 % 46.00 41.7 %\n", "\noutside 30.00 10.00 40.0 %\n",
                           "\naten::matmul backward 1 2.00 2.0 %\n"})
    EXPECT_NE(text.find(line), std::string::npos) << line << "\nin\n" << text;
}

TEST(Profile, What_a_table_has_no_row_for_is_put_together) {
  MadeRecord made;
  made.add("step", TimedKind::kPhase, -1, 0, 100);
  for (int64_t i = 0; i < 45; ++i)
    made.add(("aten::call" + std::to_string(i)).c_str(), TimedKind::kAten, 0, 2 * i, 2 * i + 2);
  const std::string text = squeezed(profile_text(summarize(made.record, {}), {}, {3, 3, 1}));
  EXPECT_NE(text.find("\n 5 others 10.00 10.0 %\n"), std::string::npos) << "by operation, in\n" << text;
  EXPECT_NE(text.find("\n 5 others 5 10.00 10.0 %\n"), std::string::npos) << "calls of the library, in\n" << text;
}

TEST(Profile, Trace_is_json_with_times_and_work) {
  MadeRecord made = two_steps();
  made.add("a \"quoted\"\\ name", TimedKind::kOperation, -1, 2000, 2001);
  const Json trace = Json::parse(chrome_trace(made.record, {{kFloat, 400e9}}));
  std::vector<Json> events;
  for (const Json& event : trace["traceEvents"])
    if (event["ph"] == "X") events.push_back(event);
  ASSERT_EQ(events.size(), made.record.events.size());
  EXPECT_EQ(events[2]["name"], "matmul_nt");
  EXPECT_EQ(events[2]["cat"], "product");
  EXPECT_EQ(events[2]["ts"], 15000.0);
  EXPECT_EQ(events[2]["dur"], 30000.0);
  EXPECT_EQ(events[2]["args"]["GFLOP"], 6.0);
  EXPECT_EQ(events[2]["args"]["GF/s"], 200.0);
  EXPECT_EQ(events[2]["args"]["n"], 3000);
  EXPECT_EQ(events[2]["args"]["dtype"], "float32");
  EXPECT_EQ(trace["otherData"]["peak GF/s"]["float32"], 400.0);
  EXPECT_EQ(events[2]["args"]["part"], "q_proj");
  EXPECT_EQ(events.back()["name"], "a \"quoted\"\\ name");
}

// The work of LoRA's products on one batch against what the shapes say.
TEST(Profile, Work_of_a_lora_step_is_the_formula) {
  Warnings warnings(false, false);
  const auto model = models::load_model(test::tiny_base(), {at::kFloat, at::kCPU}, warnings);
  constexpr int64_t kRank = 4, kRows = 2, kLength = 24;
  const auto set = adapters::AdapterSet::create({{"method", "lora"}, {"r", kRank}, {"target_modules", "all-linear"}},
                                                model->slots(), at::kFloat, at::kCPU, warnings);
  set->initialize(1);
  set->attach();
  const DeviceBatch batch = synthetic_batch(*model, kRows, kLength, {});
  ops::TimeRecorder recorder;
  {
    const ops::TimeRecorder::Session session(recorder);
    const ops::TimedScope whole("step", TimedKind::kPhase);
    train_pass(
        *model, set->parameters(), [](const auto&) { return at::Tensor(); }, batch);
  }
  double expected = 0;
  for (const nn::LinearGroup* group : model->slots().groups) {
    const bool head = group->layer < 0;
    const auto tokens = static_cast<double>(head ? kRows * (kLength - 1) : kRows * kLength);
    // Nothing below the first projections is trained: they need no gradient of their input.
    const bool first = group == model->slots().groups.front();
    const auto in = static_cast<double>(group->members.front().weight.in_features());
    for (const nn::LinearMember& member : group->members) {
      const auto out = static_cast<double>(member.weight.out_features());
      expected += 2 * tokens * in * out * (first ? 1 : 2);
      if (!head) expected += 2 * tokens * kRank * ((first ? 2 : 3) * in + 3 * out);
    }
  }
  const Profile profile = summarize(recorder.take(), {{kFloat, 1e9}});
  EXPECT_DOUBLE_EQ(profile.products.gflop * 1e9, expected);
  EXPECT_NEAR(profile.products.ideal_ms, expected / 1e6, 1e-9 * expected);
}

double sum_of(const std::vector<OperationRow>& rows) {
  return std::accumulate(rows.begin(), rows.end(), 0.0,
                         [](double sum, const OperationRow& row) { return sum + row.spent.ms; });
}

TEST(Profile, Rows_of_a_real_step_add_up) {
  Warnings warnings(false, false);
  const auto model = models::load_model(test::tiny_base(), {at::kFloat, at::kCPU}, warnings);
  const auto set = adapters::AdapterSet::create({{"method", "smore"}}, model->slots(), at::kFloat, at::kCPU, warnings);
  set->initialize(1);
  set->attach();
  ops::TimeRecorder recorder;
  {
    const ops::TimeRecorder::Session session(recorder);
    const ops::TimedScope whole("step", TimedKind::kPhase);
    train_pass(
        *model, set->parameters(), [](const auto&) { return at::Tensor(); }, synthetic_batch(*model, 2, 24, {}));
  }
  const Profile profile = summarize(recorder.take(), {{kFloat, 1e9}});
  const double total = profile.all.ms, tolerance = 1e-9 * total;
  EXPECT_NEAR(sum_of(profile.operations) + profile.unaccounted_ms, total, tolerance);
  double layers = 0, parts = 0;
  for (const LayerRow& row : profile.layers) layers += row.forward.ms + row.backward.ms;
  for (const PartRow& row : profile.parts)
    parts += row.forward.ms + row.backward.ms + row.adapter_forward.ms + row.adapter_backward.ms;
  EXPECT_NEAR(layers, total, tolerance);
  EXPECT_NEAR(parts, total, tolerance);
  EXPECT_EQ(profile.layers.size(), static_cast<size_t>(model->config().num_hidden_layers) + 1);
  for (const LayerRow& row : profile.layers) {
    if (row.layer >= 0) {
      EXPECT_GT(row.backward.ms, 0) << row.layer;
    }
  }
}

std::vector<std::string> lines_of_losses(const fs::path& output) {
  std::vector<std::string> losses;
  for (const Json& line : test::lines(output / "metrics.jsonl"))
    losses.push_back(line["loss"].dump() + line["grad_norm"].dump());
  return losses;
}

TEST(Profile, Changes_no_loss_and_no_byte_of_the_adapter) {
  const TinyRun tiny("profile_same");
  for (const char* method : {"lora", "smore"}) {
    const std::string plain = std::string("plain_") + method, profiled = std::string("profiled_") + method;
    const Json more = method == std::string("lora") ? Json{{"method", method}, {"lora_dropout", 0.1}}
                                                    : Json{{"method", method}, {"target_modules", nullptr}};
    Json recipe = tiny.recipe(plain, more);
    const auto without = run(recipe);
    recipe["output_dir"] = tiny.output(profiled).string();
    recipe["profile"] = true;
    const auto with = run(recipe);
    EXPECT_EQ(test::adapter_bytes(tiny.output(plain)), test::adapter_bytes(tiny.output(profiled)));
    EXPECT_EQ(lines_of_losses(tiny.output(plain)), lines_of_losses(tiny.output(profiled)));
    EXPECT_TRUE(with.warnings.empty());
    EXPECT_TRUE(without.result.profile.empty());
    EXPECT_FALSE(fs::exists(tiny.output(plain) / "profile.txt"));
    EXPECT_FALSE(fs::exists(tiny.output(plain) / "profile.json"));
    EXPECT_EQ(with.result.profile, read_text_file(tiny.output(profiled) / "profile.txt"));
  }
}

std::vector<Json> trace_events(const fs::path& output) {
  std::vector<Json> events;
  const Json trace = read_json_file(output / "profile.json");
  for (const Json& event : trace.at("traceEvents"))
    if (event["ph"] == "X") events.push_back(event);
  return events;
}

int64_t count_of(const std::vector<Json>& events, const std::string& key, const Json& value) {
  return std::count_if(events.begin(), events.end(), [&](const Json& event) { return event[key] == value; });
}

TEST(Profile, Run_writes_three_steps_behind_the_first_two) {
  const TinyRun tiny("profile_files");
  const auto outcome = run(tiny.recipe("out", {{"profile", true}}));
  // Parts and layers are never put together; operations may be, where a tiny model's take no time.
  for (const char* part : {"the mean of steps 3 to 5", "1 thread,", "of the peak", "float32", "unaccounted",
                           "q_proj,k_proj,v_proj", "down_proj", "lm_head", "attention", "outside of the model"})
    EXPECT_NE(outcome.result.profile.find(part), std::string::npos) << part;
  const std::vector<Json> events = trace_events(tiny.output("out"));
  EXPECT_EQ(count_of(events, "name", "step"), 3);
  EXPECT_EQ(count_of(events, "name", "backward"), 6) << "two micro-batches a step";
  for (const char* category : {"phase", "operation", "library", "product"})
    EXPECT_GT(count_of(events, "cat", category), 0) << category;
  for (const char* name : {"data", "clip", "optimizer", "frozen_linear", "matmul_nt", "add_matmul_nn", "down",
                           "shared_input", "attention", "rope", "swiglu", "linear_cross_entropy"})
    EXPECT_GT(count_of(events, "name", name), 0) << name;
  EXPECT_EQ(count_of(events, "name", "optimizer"), 3);
}

TEST(Profile, Window_starts_at_the_first_step_of_a_resumed_run) {
  const TinyRun tiny("profile_resumed");
  run(tiny.recipe("out", {{"max_steps", 12}, {"save_steps", 4}, {"save_total_limit", 0}}));
  const auto outcome =
      run(tiny.recipe("other", {{"max_steps", 12},
                                {"profile", true},
                                {"resume_from_checkpoint", (tiny.output("out") / "checkpoint-4").string()}}));
  EXPECT_NE(outcome.result.profile.find("steps 7 to 9"), std::string::npos) << outcome.result.profile.substr(0, 80);
  EXPECT_EQ(test::adapter_bytes(tiny.output("out")), test::adapter_bytes(tiny.output("other")));
}

TEST(Profile, Short_runs_say_that_they_are) {
  const TinyRun tiny("profile_short");
  const auto three = run(tiny.recipe("three", {{"max_steps", 3}, {"profile", true}}));
  EXPECT_NE(three.result.profile.find("Profile: step 3,"), std::string::npos);
  EXPECT_TRUE(three.warnings.empty());
  const auto one = run(tiny.recipe("one", {{"max_steps", 1}, {"profile", true}}));
  EXPECT_NE(one.result.profile.find("Profile: step 1,"), std::string::npos);
  EXPECT_EQ(one.warnings.at("profile_warm_up"), 1);
  EXPECT_EQ(test::refusal(tiny.recipe("bad", {{"profile", "yes"}}), ErrorKind::kConfig).find("[recipe] profile must"),
            0u);
}

TEST(Profile, Files_of_an_earlier_run_move_aside) {
  const TinyRun tiny("profile_aside");
  const Json recipe = tiny.recipe("out", {{"profile", true}, {"max_steps", 3}});
  run(recipe);
  const std::string first = read_text_file(tiny.output("out") / "profile.txt");
  run(recipe);
  EXPECT_EQ(read_text_file(tiny.output("out") / "earlier-1" / "profile.txt"), first);
  EXPECT_TRUE(fs::exists(tiny.output("out") / "earlier-1" / "profile.json"));
}

}  // namespace
}  // namespace morex::train
