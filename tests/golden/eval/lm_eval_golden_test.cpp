// lm-evaluation-harness's requests, scores and aggregates on the tiny model, item by item.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/checksum.h"
#include "base/strings.h"
#include "eval/tasks.h"
#include "golden_models.h"
#include "support/paths.h"

namespace morex::eval {
namespace {

constexpr const char* kPart = "eval/lm_eval";

class LmEvalGolden : public testing::TestWithParam<std::string> {};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(LmEvalGolden);

struct Case {
  std::string task;
  std::vector<Json> items;
  Json aggregate;  // of results.json; null where it has none
  TaskOptions options;
};

Json aggregate_of(const std::string& name, TaskOptions& options) {
  const std::filesystem::path file = test::golden_dir() / kPart / "results.json";
  if (!std::filesystem::exists(file)) return {};
  const Json results = read_json_file(file);
  options.fewshot_seed = results.value("fewshot_seed", options.fewshot_seed);
  const Json& tasks = results.at("tasks");
  if (!tasks.contains(name)) return {};
  if (tasks[name].contains("sampler") && tasks[name]["sampler"].is_string()) {
    options.fewshot_sampler = tasks[name]["sampler"];
  }
  return tasks[name];
}

Case load_case(const std::string& name) {
  Case result;
  result.task = split(name, '.').front();
  result.items = test::read_lines(test::golden_dir() / kPart / (name + ".jsonl"));
  TaskOptions& options = result.options;
  result.aggregate = aggregate_of(name, options);
  options.tasks = {result.task};
  options.data_dir = test::golden_dir() / "eval" / "docs";
  options.limit = 0;
  for (const Json& item : result.items) {
    options.limit = std::max(options.limit, item.at("id").get<int64_t>() + 1);
    if (item.contains("fewshot_rows")) options.num_fewshot = item["fewshot_rows"].size();
  }
  return result;
}

struct Scored {
  Json result;
  std::vector<Json> samples;
};

Scored score(Case& item, at::ScalarType dtype) {
  const std::filesystem::path folder = test::scratch_dir("lm_eval_" + item.task);
  item.options.samples_file = folder / "samples.jsonl";
  const auto model = test::load_for_test(test::tinystories(), dtype);
  const auto tokenizer = text::Tokenizer::load(test::tinystories());
  Warnings warnings(false, false);
  Scored scored;
  scored.result = run_tasks(*model, *tokenizer, item.options, warnings).at("tasks").at(item.task);
  scored.samples = test::read_lines(item.options.samples_file);
  std::filesystem::remove_all(folder);
  return scored;
}

std::string ids_digest(const Json& ids) {
  std::vector<std::string> decimal;
  for (const Json& id : ids) decimal.push_back(std::to_string(id.get<int64_t>()));
  return sha256_hex(join(decimal, ","));
}

// Strings and ids: equal.
void expect_same_request(const Json& golden, const Json& sample) {
  int compared = 0;
  const auto same = [&](const char* key, const Json& expected, const Json& got) {
    ++compared;
    EXPECT_EQ(expected, got) << key << " of item " << golden.at("id");
  };
  if (golden.contains("fewshot_rows")) same("fewshot_rows", golden["fewshot_rows"], sample["fewshot_rows"]);
  if (golden.contains("ctx")) same("ctx", sha256_hex(golden["ctx"].get<std::string>()), sample["ctx_sha256"]);
  if (golden.contains("ctx_sha256")) same("ctx_sha256", golden["ctx_sha256"], sample["ctx_sha256"]);
  if (golden.contains("ctx_ids")) same("ctx_ids", ids_digest(golden["ctx_ids"]), sample["ctx_ids_sha256"]);
  if (golden.contains("ctx_ids_sha256")) same("ctx_ids", golden["ctx_ids_sha256"], sample["ctx_ids_sha256"]);
  if (golden.contains("cont")) {
    Json continuations = Json::array();  // the delimiter and the choice
    for (const Json& choice : sample["choices"]) continuations.push_back(" " + choice.get<std::string>());
    same("cont", golden["cont"], continuations);
  }
  Json moved = sample["border_moved"];  // the golden has the list only if any is true
  if (std::find(moved.begin(), moved.end(), true) == moved.end()) moved = nullptr;
  same("border_moved", golden.value("border_moved", Json()), moved);
  for (const char* key : {"n_ctx", "cut_left", "cont_ids", "gold"}) {
    if (golden.contains(key)) same(key, golden[key], sample[key]);
  }
  EXPECT_GT(compared, 1) << "nothing to compare in item " << golden.at("id");
}

void expect_same_predictions(const Json& golden, const Json& sample) {
  const bool close = golden.value("margin", 1.0) < 1e-4, close_norm = golden.value("margin_norm", 1.0) < 1e-4;
  const auto same = [&](const char* key, bool excused) {
    if (golden.contains(key) && !excused) {
      EXPECT_EQ(golden[key], sample[key]) << key << " of item " << golden.at("id");
    }
  };
  same("greedy", false);
  same("pred", close);
  same("pred_norm", close_norm);
  same("pred_bytes", close_norm);
  for (const char* key : {"acc", "acc_norm", "acc_bytes"}) {
    if (golden.contains(key) && !close && !close_norm) {
      EXPECT_EQ(golden[key].get<double>(), sample[key].get<bool>() ? 1.0 : 0.0) << key << " of item " << golden["id"];
    }
  }
}

void expect_same_scores(const Json& golden, const Json& sample, bool in_float64) {
  const Json& expected = golden.at("ll64");
  ASSERT_EQ(expected.size(), sample["ll"].size());
  for (size_t c = 0; c < expected.size(); ++c) {
    const double ll = expected[c];
    const double tolerance = in_float64 ? 1e-8 : 2e-5 * sample["cont_ids"][c].size() + 1e-5 * std::abs(ll);
    EXPECT_NEAR(sample["ll"][c].get<double>(), ll, tolerance) << "choice " << c << " of item " << golden.at("id");
  }
}

void expect_same_aggregate(const Json& golden, const Json& result) {
  EXPECT_EQ(golden.at("n"), result.at("n"));
  int compared = 0;
  for (const auto& [name, value] : golden.at("results").items()) {
    const std::string metric = split(name, ',').front();
    ASSERT_TRUE(result.contains(metric)) << metric;
    EXPECT_NEAR(result[metric].get<double>(), value.get<double>(), 1e-9) << metric;
    ++compared;
  }
  EXPECT_GT(compared, 0);
  if (golden.contains("acc_bytes_extra")) {
    EXPECT_NEAR(result["acc_bytes"], golden["acc_bytes_extra"], 1e-9);
  }
  for (const char* key : {"items_cut_left", "items_border_moved", "items_with_empty_continuation"}) {
    if (golden.contains(key)) {
      EXPECT_EQ(golden[key], result[key]) << key;
    }
  }
}

void compare(Case& item, at::ScalarType dtype) {
  const Scored scored = score(item, dtype);
  for (const Json& golden : item.items) {
    const Json& sample = scored.samples.at(golden.at("id").get<size_t>());
    expect_same_request(golden, sample);
    expect_same_scores(golden, sample, dtype == at::kDouble);
    expect_same_predictions(golden, sample);
  }
  if (!item.aggregate.is_null()) expect_same_aggregate(item.aggregate, scored.result);
}

TEST_P(LmEvalGolden, Matches) {
  const std::vector<std::string> known = known_tasks("lm-eval");
  const std::string task = split(GetParam(), '.').front();
  if (std::find(known.begin(), known.end(), task) == known.end()) {
    std::printf("SKIPPED unsupported: lm-eval task %s\n", task.c_str());
    GTEST_SKIP();
  }
  if (!std::filesystem::exists(test::tinystories())) GTEST_SKIP() << "no model " << test::tinystories();
  Case item = load_case(GetParam());
  ASSERT_FALSE(item.items.empty());
  compare(item, at::kDouble);
  compare(item, at::kFloat);
}

INSTANTIATE_TEST_SUITE_P(Cases, LmEvalGolden, testing::ValuesIn(test::golden_cases(kPart, ".jsonl")),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace_if(
                               name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
                           return name;
                         });

TEST(LmEvalGoldenFolder, HoldsCases) {
  if (!std::filesystem::exists(test::golden_dir() / kPart)) GTEST_SKIP() << "no folder " << test::golden_dir() / kPart;
  EXPECT_FALSE(test::golden_cases(kPart, ".jsonl").empty());
}

}  // namespace
}  // namespace morex::eval
