// golden/models/models_bad: adapter folders with one thing wrong each.
#include <gtest/gtest.h>

#include "adapters/adapter_set.h"
#include "models/causal_lm.h"
#include "support/paths.h"

namespace morex::test {
namespace {

std::filesystem::path bad_folder() { return golden_dir() / "models" / "models_bad"; }

std::vector<Json> bad_cases() {
  std::vector<Json> cases;
  if (!std::filesystem::exists(bad_folder() / "bad.json")) return cases;
  const Json bad = read_json_file(bad_folder() / "bad.json");
  for (const Json& entry : bad.at("cases"))
    if (entry.contains("adapter_on")) cases.push_back(entry);
  return cases;
}

class BadAdapter : public testing::TestWithParam<Json> {};

TEST_P(BadAdapter, Is_refused_with_file_and_key) {
  const Json& bad = GetParam();
  Warnings warnings(false, false);
  const auto model = models::load_model(bad_folder() / bad.at("adapter_on").get<std::string>(), {}, warnings);
  std::string said;
  bool refused = false;
  try {
    const auto set = adapters::AdapterSet::load(bad_folder() / bad.at("dir").get<std::string>(), model->slots(),
                                                {"good", model->digest()}, at::kFloat, at::kCPU, warnings);
    EXPECT_GT(set->parameters().parameter_count(), 0);
  } catch (const Error& error) {
    refused = true;
    said = error.what();
    EXPECT_EQ(error.kind(), ErrorKind::kFormat);
    EXPECT_EQ(said.find('\n'), std::string::npos);
  }
  for (const auto& [key, message] : warnings.messages()) said += "\n" + message;
  const std::string expect = bad.at("expect");
  EXPECT_EQ(refused, expect == "error" || (expect == "error_or_warn" && refused)) << said;
  if (expect == "ok") return;
  EXPECT_FALSE(said.empty());
  for (const Json& part : bad.at("must_mention")) {
    EXPECT_NE(said.find(part.get<std::string>()), std::string::npos) << part << " is not in: " << said;
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, BadAdapter, testing::ValuesIn(bad_cases()),
                         [](const auto& info) { return info.param.at("dir").template get<std::string>(); });
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(BadAdapter);

TEST(BadAdapterCases, Exist_where_the_folder_does) {
  if (!std::filesystem::exists(bad_folder())) GTEST_SKIP() << "there is no models/models_bad in " << golden_dir();
  EXPECT_FALSE(bad_cases().empty());
}

}  // namespace
}  // namespace morex::test
