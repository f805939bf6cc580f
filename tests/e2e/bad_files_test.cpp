// Broken models, adapters and GGUF files: `inspect … --check` refuses each with one line and exit code 4, or says what
// is odd about it.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "e2e/process.h"
#include "support/paths.h"

namespace morex::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr int kFormat = 4;

json read(const fs::path& path) { return fs::exists(path) ? json::parse(std::ifstream(path)) : json::array(); }

struct BadFile {
  std::string name;  // of the test
  json facts;
};
void PrintTo(const BadFile& bad, std::ostream* out) { *out << bad.name; }

std::string test_name(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
  return text;
}

// The cases of a list; `key` names each.
std::vector<BadFile> cases_of(const fs::path& path, const std::string& key) {
  const json file = read(path);
  const json& cases = file.is_object() ? file.at("cases") : file;
  std::vector<BadFile> all;
  for (const json& facts : cases) all.push_back({test_name(facts.at(key).get<std::string>()), facts});
  return all;
}

std::string lowered(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

CommandResult check(const std::string& what, const std::string& name) {
  const fs::path folder = scratch_dir("bad_" + name);
  const CommandResult result = run_command("morex inspect " + what + " --check", folder);
  fs::remove_all(folder);
  return result;
}

// Not a crash, and one line that says what is wrong.
void expect_refusal(const CommandResult& result) {
  EXPECT_EQ(result.exit_code, kFormat) << result.err;
  const auto error = result.err.find("morex: error: ");
  ASSERT_NE(error, std::string::npos) << result.err;
  EXPECT_EQ(result.err.find('\n', error), result.err.size() - 1) << "more than one line:\n" << result.err;
}

class BadModel : public testing::TestWithParam<BadFile> {};

TEST_P(BadModel, IsRefusedOrNamed) {
  const json& bad = GetParam().facts;
  const fs::path folder = golden_dir() / "models/models_bad";
  const std::string dir = bad.at("dir").get<std::string>();
  const std::string what = bad.contains("adapter_on") ? "adapter " + (folder / dir).string() + " --model " +
                                                            (folder / bad.at("adapter_on").get<std::string>()).string()
                                                      : "model " + (folder / dir).string();
  const CommandResult result = check(what, dir);
  const std::string expect = bad.at("expect").get<std::string>();
  const bool refused = expect == "error" || (expect == "error_or_warn" && result.exit_code != 0);
  if (refused) {
    expect_refusal(result);
  } else {
    EXPECT_EQ(result.exit_code, 0) << result.err;
  }
  for (const json& word : bad.value("must_mention", json::array())) {
    EXPECT_NE(result.err.find(word.get<std::string>()), std::string::npos) << word << " in: " << result.err;
  }
  if (expect == "ok") {
    EXPECT_EQ(result.err, "");
  }
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(BadModel);
INSTANTIATE_TEST_SUITE_P(Golden, BadModel,
                         testing::ValuesIn(cases_of(golden_dir() / "models/models_bad/bad.json", "dir")),
                         [](const auto& info) { return info.param.name; });

class BadGguf : public testing::TestWithParam<BadFile> {};

TEST_P(BadGguf, IsRefused) {
  const json& bad = GetParam().facts;
  const std::string file = bad.at("file").get<std::string>();
  const CommandResult result = check("model " + (golden_dir() / "gguf" / file).string(), GetParam().name);
  expect_refusal(result);
  EXPECT_NE(result.err.find(fs::path(file).filename().string()), std::string::npos) << result.err;
  const std::string message = lowered(result.err);
  bool mentioned = false;
  for (const json& word : bad.at("message_should_mention_any_of")) {
    mentioned = mentioned || message.find(lowered(word.get<std::string>())) != std::string::npos;
  }
  EXPECT_TRUE(mentioned) << result.err << bad.at("must_say");
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(BadGguf);
INSTANTIATE_TEST_SUITE_P(Golden, BadGguf, testing::ValuesIn(cases_of(golden_dir() / "gguf/bad.json", "file")),
                         [](const auto& info) { return info.param.name; });

TEST(BadGgufControl, Loads) {
  const fs::path control = golden_dir() / "gguf/bad_twin_ok.gguf";
  if (!fs::exists(control)) GTEST_SKIP() << control << " is not there";
  const CommandResult result = check("model " + control.string(), "twin_ok");
  EXPECT_EQ(result.exit_code, 0) << result.err;
}

}  // namespace
}  // namespace morex::test
