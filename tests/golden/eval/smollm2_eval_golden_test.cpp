// The four tasks on the real base, 150 items each, in float32 and bfloat16; and greedy generation.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "base/strings.h"
#include "eval/choice_metrics.h"
#include "eval/generate.h"
#include "eval/tasks.h"
#include "golden_models.h"
#include "support/golden_tensors.h"
#include "support/paths.h"

namespace morex::eval {
namespace {

constexpr const char* kPart = "smollm2/eval";

std::filesystem::path golden_file(const std::string& name) { return test::golden_dir() / kPart / name; }

// Items of one file by task, in the order of the rows.
std::map<std::string, std::vector<Json>> items_by_task(const std::string& file) {
  std::map<std::string, std::vector<Json>> result;
  for (const Json& item : test::read_lines(golden_file(file + ".jsonl"))) result[item.at("task")].push_back(item);
  return result;
}

// One task's items of one file by their row; empty where there is no such file.
std::map<int64_t, Json> rows_of(const std::string& file, const std::string& task) {
  std::map<int64_t, Json> result;
  if (!std::filesystem::exists(golden_file(file + ".jsonl"))) return result;
  const std::vector<Json> items = items_by_task(file)[task];
  for (const Json& item : items) result[item.at("i")] = item;
  return result;
}

struct Case {
  std::string file, task;
};
void PrintTo(const Case& value, std::ostream* out) { *out << value.file << ' ' << value.task; }

std::vector<Case> cases(const std::string& prefix) {
  std::vector<Case> result;
  for (const std::string& file : test::golden_cases(kPart, ".jsonl")) {
    if (!file.starts_with(prefix)) continue;
    for (const auto& [task, items] : items_by_task(file)) result.push_back({file, task});
  }
  return result;
}

std::string test_name(const testing::TestParamInfo<Case>& info) { return info.param.file + "_" + info.param.task; }

class Smollm2Predictions : public testing::TestWithParam<Case> {};
class Smollm2Scores : public testing::TestWithParam<Case> {};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Smollm2Predictions);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Smollm2Scores);

Json summary_of(const Case& parameter) {
  if (!std::filesystem::exists(golden_file("summary.json"))) return {};
  const Json summary = read_json_file(golden_file("summary.json"));
  return summary.contains(parameter.file) ? summary[parameter.file].value(parameter.task, Json()) : Json();
}

// ---- from stored scores to stored predictions and aggregates: also for models whose weights are not there ----

TEST_P(Smollm2Predictions, FollowFromTheScores) {
  const std::vector<Json> items = items_by_task(GetParam().file)[GetParam().task];
  // The right answers and the lengths of the choices stand in one file only.
  const std::map<int64_t, Json> reference = rows_of("base_fp32", GetParam().task);
  std::vector<double> hits, hits_norm;
  for (const Json& item : items) {
    const Json& facts = reference.at(item.at("i"));
    std::vector<std::string> choices;
    for (const Json& characters : facts.at("chars")) choices.push_back(std::string(characters.get<size_t>(), 'x'));
    const Prediction got = predict(choices, item.at("ll").get<std::vector<double>>());
    EXPECT_EQ(got.pred, item.at("pred").get<int64_t>()) << "item " << item["i"];
    EXPECT_EQ(got.pred_norm, item.at("pred_norm").get<int64_t>()) << "item " << item["i"];
    hits.push_back(got.pred == facts.at("gold") ? 1.0 : 0.0);
    hits_norm.push_back(got.pred_norm == facts.at("gold") ? 1.0 : 0.0);
  }
  const Json summary = summary_of(GetParam());
  if (summary.is_null()) return;
  constexpr double kRounded = 1e-6;  // six digits are stored
  EXPECT_NEAR(mean_score(hits).mean, summary.at("acc").get<double>(), kRounded);
  EXPECT_NEAR(mean_score(hits).standard_error, summary.at("acc_stderr").get<double>(), kRounded);
  EXPECT_NEAR(mean_score(hits_norm).mean, summary.at("acc_norm").get<double>(), kRounded);
  EXPECT_NEAR(mean_score(hits_norm).standard_error, summary.at("acc_norm_stderr").get<double>(), kRounded);
}

// ---- our own scores, of the files whose weights are there ----

struct Outcome {
  Json result;
  std::vector<Json> samples;
};

Outcome run(const std::string& task, at::ScalarType dtype, int64_t items) {
  const std::filesystem::path folder = test::scratch_dir("smollm2_eval");
  TaskOptions options;
  options.tasks = {task};
  options.data_dir = test::data_dir() / "datasets";
  options.limit = items;
  options.samples_file = folder / "samples.jsonl";
  const auto model = test::load_for_test(test::smollm2_gguf(), dtype);
  Warnings warnings(false, false);
  Outcome result;
  result.result = run_tasks(*model, *text::Tokenizer::load(test::smollm2_gguf()), options, warnings)["tasks"][task];
  result.samples = test::read_lines(options.samples_file);
  std::filesystem::remove_all(folder);
  return result;
}

double tolerance_of(double ll, size_t tokens, bool bf16) {
  return bf16 ? 0.02 * std::abs(ll) + 0.5 : std::max(2e-3, 1e-3 * static_cast<double>(tokens));
}

// The two best values differ by less than the tolerance of the scores.
bool is_close(std::vector<double> values, double tolerance) {
  std::sort(values.rbegin(), values.rend());
  return values.size() > 1 && values[0] - values[1] < tolerance;
}

// The tolerances of a bfloat16 engine are distances from float32 (torch's own is 0.73 at most), so `reference` is the
// float32 item then; predictions are counted against the golden item itself. Returns 1 where a prediction differs.
int compare_item(const Json& golden, const Json& reference, const Json& sample, bool bf16) {
  SCOPED_TRACE("item " + golden.at("i").dump());
  if (reference.contains("cont_ids")) {
    EXPECT_EQ(reference["cont_ids"], sample["cont_ids"]);
  }
  if (reference.contains("ctx_len")) {
    EXPECT_EQ(reference["ctx_len"], sample["n_ctx"]);
  }
  if (reference.contains("gold")) {
    EXPECT_EQ(reference["gold"], sample["gold"]);
  }
  if (golden.contains("greedy")) {
    EXPECT_EQ(golden["greedy"], sample["greedy"]);
  }
  const auto expected = reference.at("ll").get<std::vector<double>>();
  std::vector<double> normalised;
  double widest = 0, widest_normalised = 0;
  for (size_t c = 0; c < expected.size(); ++c) {
    const double tolerance = tolerance_of(expected[c], sample["cont_ids"][c].size(), bf16);
    const auto characters = static_cast<double>(sample["choices"][c].get<std::string>().size());
    EXPECT_NEAR(sample["ll"][c].get<double>(), expected[c], tolerance) << "choice " << c;
    normalised.push_back(expected[c] / characters);
    widest = std::max(widest, tolerance);
    widest_normalised = std::max(widest_normalised, tolerance / characters);
  }
  const bool same = golden.at("pred") == sample["pred"], same_norm = golden.at("pred_norm") == sample["pred_norm"];
  if (!bf16) {
    EXPECT_TRUE(same || is_close(expected, widest)) << "pred";
    EXPECT_TRUE(same_norm || is_close(normalised, widest_normalised)) << "pred_norm";
  }
  return std::max(same ? 0 : 1, same_norm ? 0 : 1);
}

TEST_P(Smollm2Scores, Match) {
  const bool bf16 = GetParam().file.ends_with("_bf16");
  if (!std::filesystem::exists(test::smollm2_gguf())) GTEST_SKIP() << "no " << test::smollm2_gguf();
  if (!std::filesystem::exists(test::data_dir() / "datasets")) GTEST_SKIP() << "no datasets in " << test::data_dir();
  const std::vector<std::string> known = known_tasks("lm-eval");
  if (std::find(known.begin(), known.end(), GetParam().task) == known.end()) {
    std::printf("SKIPPED unsupported: lm-eval task %s\n", GetParam().task.c_str());
    GTEST_SKIP();
  }
  const std::vector<Json> items = items_by_task(GetParam().file)[GetParam().task];
  int64_t rows = 0;
  for (const Json& item : items) rows = std::max(rows, item.at("i").get<int64_t>() + 1);
  const Outcome got = run(GetParam().task, bf16 ? at::kBFloat16 : at::kFloat, rows);
  const std::map<int64_t, Json> base = rows_of("base_fp32", GetParam().task);
  int differ = 0;
  for (const Json& item : items) {
    const auto found = base.find(item.at("i").get<int64_t>());
    const Json& reference = bf16 && found != base.end() ? found->second : item;
    differ += compare_item(item, reference, got.samples.at(item.at("i").get<size_t>()), bf16);
  }
  EXPECT_LE(differ, static_cast<int>(0.04 * static_cast<double>(items.size()))) << "predictions that differ";
  const Json summary = summary_of(GetParam());
  if (summary.is_null() || rows != static_cast<int64_t>(items.size())) return;
  const double allowed = static_cast<double>(differ) / static_cast<double>(rows) + 1e-6;
  EXPECT_NEAR(got.result["acc"].get<double>(), summary.at("acc").get<double>(), allowed);
  EXPECT_NEAR(got.result["acc_norm"].get<double>(), summary.at("acc_norm").get<double>(), allowed);
}

INSTANTIATE_TEST_SUITE_P(Cases, Smollm2Predictions, testing::ValuesIn(cases("")), test_name);
INSTANTIATE_TEST_SUITE_P(Cases, Smollm2Scores, testing::ValuesIn(cases("base_")), test_name);

TEST(Smollm2EvalFolder, HoldsCases) {
  if (!std::filesystem::exists(golden_file(""))) GTEST_SKIP() << "no folder " << golden_file("");
  EXPECT_FALSE(cases("base_").empty());
}

// ---- generation ----

// Ids are compared up to the first position where the two best logits nearly agree.
void expect_generation(const models::CausalLm& model, const text::Tokenizer& tokenizer, const Json& golden) {
  SCOPED_TRACE(golden.at("prompt").dump());
  const auto expected = golden.at("generated").get<std::vector<int64_t>>();
  GenerationOptions options;
  options.max_new_tokens = static_cast<int64_t>(expected.size());
  options.stop_ids = {2};
  const Generated got = generate(model, &tokenizer, golden.at("ids").get<std::vector<int64_t>>(), options);
  size_t compared = expected.size();
  const Json close = golden.value("close_positions", Json::array());
  if (!close.empty()) compared = close.front().get<size_t>();
  ASSERT_GE(got.ids.size(), compared);
  for (size_t n = 0; n < compared; ++n) {
    EXPECT_EQ(got.ids[n], expected[n]) << "position " << n;
    EXPECT_NEAR(got.log_probs[n], golden.at("logprobs")[n].get<double>(), 2e-3) << "position " << n;
  }
  if (compared < expected.size()) return;
  EXPECT_EQ(got.ids, expected);
  EXPECT_EQ(got.finish, golden.at("stopped_on_eos").get<bool>() ? "stop" : "length");
  EXPECT_EQ(tokenizer.decode(got.ids, false), golden.at("text").get<std::string>());
}

TEST(Smollm2Generations, Match) {
  const std::filesystem::path file = test::golden_dir() / "smollm2" / "generations.jsonl";
  if (!std::filesystem::exists(file)) GTEST_SKIP() << "no " << file;
  if (!std::filesystem::exists(test::smollm2_gguf())) GTEST_SKIP() << "no " << test::smollm2_gguf();
  const std::vector<Json> goldens = test::read_lines(file);
  ASSERT_FALSE(goldens.empty());
  const auto model = test::load_for_test(test::smollm2_gguf(), at::kFloat);
  const auto tokenizer = text::Tokenizer::load(test::smollm2_gguf());
  for (const Json& golden : goldens) expect_generation(*model, *tokenizer, golden);
}

}  // namespace
}  // namespace morex::eval
