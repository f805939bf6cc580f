// Broken checkpoints: one clear message each, naming the file and what is wrong in it. Cases of adapters are run with
// the adapters.
#include <gtest/gtest.h>

#include "base/json.h"
#include "golden/models/variant_cases.h"
#include "models/causal_lm.h"
#include "support/golden_tensors.h"

namespace morex::test {
namespace {

std::filesystem::path bad_dir() { return golden_dir() / "models" / "models_bad"; }

std::vector<std::string> bad_cases() {
  std::vector<std::string> names;
  if (!std::filesystem::exists(bad_dir() / "bad.json")) return names;
  const Json bad = read_json_file(bad_dir() / "bad.json");
  for (const Json& one : bad.at("cases")) {
    if (!one.contains("adapter_on")) names.push_back(one.at("dir").get<std::string>());
  }
  return names;
}

Json find_case(const std::string& name) {
  const Json bad = read_json_file(bad_dir() / "bad.json");
  for (const Json& one : bad.at("cases")) {
    if (one.at("dir") == name) return one;
  }
  return {};
}

class ModelsBad : public testing::TestWithParam<std::string> {};

TEST_P(ModelsBad, is_reported) {
  const Json expected = find_case(GetParam());
  const std::string expect = expected.at("expect").get<std::string>();
  Warnings warnings(false, false);
  std::string error, warned;
  ErrorKind kind = ErrorKind::kFormat;
  try {
    (void)models::load_model(bad_dir() / GetParam(), {at::kFloat, test_device()}, warnings);
  } catch (const Error& caught) {
    error = caught.what();
    kind = caught.kind();
  }
  for (const auto& [key, message] : warnings.messages()) warned += message + "\n";
  if (expect == "ok") {
    EXPECT_EQ(error, "");
    EXPECT_EQ(warned, "");
    return;
  }
  if (expect == "error") {
    EXPECT_NE(error, "");
  } else if (expect == "warn") {
    EXPECT_EQ(error, "");
    EXPECT_NE(warned, "");
  } else {
    ASSERT_EQ(expect, "error_or_warn");
    EXPECT_NE(error + warned, "");
  }
  EXPECT_EQ(kind, ErrorKind::kFormat);
  EXPECT_EQ(error.find('\n'), std::string::npos) << error;
  const std::string text = error.empty() ? warned : error;
  for (const Json& mention : expected.value("must_mention", Json::array())) {
    EXPECT_NE(text.find(mention.get<std::string>()), std::string::npos) << "'" << mention << "' not in: " << text;
  }
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(ModelsBad);
INSTANTIATE_TEST_SUITE_P(Golden, ModelsBad, testing::ValuesIn(bad_cases()), case_name);

}  // namespace
}  // namespace morex::test
