// What the reference metrics hold about multiple choice and perplexity, and which protocols are not built yet.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/strings.h"
#include "eval/choice_metrics.h"
#include "eval/loss.h"
#include "eval/python_text.h"
#include "golden_models.h"
#include "support/paths.h"

namespace morex::eval {
namespace {

constexpr const char* kMetrics = "eval/metrics";
constexpr const char* kProtocols = "eval/protocols";
constexpr double kTolerance = 1e-9;

class MetricsGolden : public testing::TestWithParam<std::string> {};
class ProtocolsGolden : public testing::TestWithParam<std::string> {};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(MetricsGolden);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(ProtocolsGolden);

std::vector<double> hits(const std::vector<int64_t>& gold, const std::vector<int64_t>& pred) {
  std::vector<double> result;
  for (size_t i = 0; i < gold.size(); ++i) result.push_back(gold[i] == pred[i] ? 1.0 : 0.0);
  return result;
}

void expect_choices(const Json& golden) {
  std::vector<int64_t> gold, pred, pred_norm, pred_bytes;
  for (const Json& item : golden.at("items")) {
    const auto choices = item.at("choices").get<std::vector<std::string>>();
    for (size_t c = 0; c < choices.size(); ++c) {
      EXPECT_EQ(character_count(choices[c]), item.at("n_chars")[c].get<int64_t>());
      EXPECT_EQ(choices[c].size(), item.at("n_bytes")[c].get<size_t>());
    }
    const Prediction got = predict(choices, item.at("ll").get<std::vector<double>>());
    EXPECT_EQ(got.pred, item.at("pred").get<int64_t>());
    EXPECT_EQ(got.pred_norm, item.at("pred_norm").get<int64_t>());
    EXPECT_EQ(got.pred_bytes, item.at("pred_bytes").get<int64_t>());
    gold.push_back(item.at("gold"));
    pred.push_back(got.pred);
    pred_norm.push_back(got.pred_norm);
    pred_bytes.push_back(got.pred_bytes);
  }
  ASSERT_FALSE(gold.empty());
  EXPECT_NEAR(mean_score(hits(gold, pred)).mean, golden.at("acc").get<double>(), kTolerance);
  EXPECT_NEAR(mean_score(hits(gold, pred_norm)).mean, golden.at("acc_norm").get<double>(), kTolerance);
  EXPECT_NEAR(mean_score(hits(gold, pred_bytes)).mean, golden.at("acc_bytes").get<double>(), kTolerance);
}

// Accuracy and its standard error; mcc, F1 and the Wilson interval are not built.
void expect_accuracies(const Json& golden) {
  ASSERT_FALSE(golden.empty());
  for (const Json& item : golden) {
    const MeanScore got = mean_score(hits(item.at("gold"), item.at("pred")));
    EXPECT_NEAR(got.mean, item.at("accuracy").get<double>(), kTolerance) << item["name"];
    if (item.contains("acc_stderr")) {
      EXPECT_NEAR(got.standard_error, item["acc_stderr"].get<double>(), kTolerance) << item["name"];
    }
  }
}

// Per token; words and bytes belong to rolling perplexity, which is not built.
void expect_perplexity(const Json& golden) {
  LossResult total;
  for (const Json& document : golden.at("docs")) {
    total.nll_sum -= document.at("ll").get<double>();
    total.tokens += document.at("tokens").get<int64_t>();
  }
  EXPECT_NEAR(total.perplexity(), golden.at("token_ppl").get<double>(), kTolerance);
}

TEST_P(MetricsGolden, Matches) {
  const std::filesystem::path file = test::golden_dir() / kMetrics / GetParam();
  if (GetParam() == "choices.json") return expect_choices(read_json_file(file));
  if (GetParam() == "classification.json") return expect_accuracies(read_json_file(file));
  if (GetParam() == "perplexity.json") return expect_perplexity(read_json_file(file));
  std::printf("SKIPPED unsupported: metrics %s\n", GetParam().c_str());
  GTEST_SKIP();
}

TEST_P(ProtocolsGolden, Matches) {
  std::printf("SKIPPED unsupported: protocol %s\n", GetParam().c_str());
  GTEST_SKIP();
}

std::vector<std::string> metric_files() {
  std::vector<std::string> names;
  for (const char* suffix : {".json", ".jsonl"}) {
    for (const std::string& name : test::golden_cases(kMetrics, suffix)) names.push_back(name + suffix);
  }
  return names;
}

std::string test_name(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::replace_if(
      name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Cases, MetricsGolden, testing::ValuesIn(metric_files()), test_name);
INSTANTIATE_TEST_SUITE_P(Cases, ProtocolsGolden, testing::ValuesIn(test::golden_cases(kProtocols, ".jsonl")),
                         test_name);

TEST(MetricsGoldenFolder, HoldsCases) {
  const std::filesystem::path folder = test::golden_dir() / kMetrics;
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no folder " << folder;
  EXPECT_FALSE(metric_files().empty());
}

}  // namespace
}  // namespace morex::eval
