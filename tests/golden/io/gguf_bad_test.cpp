// golden/gguf/bad.json: every broken file is refused quickly, in little memory, with a message that helps.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

#include "base/json.h"
#include "base/system.h"
#include "io/gguf.h"
#include "io/text_check.h"
#include "support/paths.h"
#include "unit/io/io_test_support.h"

namespace morex::io {
namespace {
namespace fs = std::filesystem;

fs::path folder() { return test::golden_dir() / "gguf"; }

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

std::vector<Json> cases() {
  const fs::path path = folder() / "bad.json";
  if (!fs::exists(path)) return {};
  return read_json_file(path).get<std::vector<Json>>();
}

std::string test_name(const testing::TestParamInfo<Json>& info) {
  std::string name = fs::path(info.param.at("file").get<std::string>()).stem().string();
  std::replace_if(
      name.begin(), name.end(), [](unsigned char c) { return !std::isalnum(c); }, '_');
  return name;
}

class GgufBad : public testing::TestWithParam<Json> {};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(GgufBad);

TEST_P(GgufBad, is_refused_when_it_is_opened) {
  const Json& entry = GetParam();
  const fs::path path = folder() / entry.at("file").get<std::string>();
  ASSERT_TRUE(fs::exists(path));
  const int64_t memory_before = peak_rss_bytes();
  const auto start = std::chrono::steady_clock::now();
  const std::string message = test::error_of([&] { GgufFile::open(path); });
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  EXPECT_LT(elapsed.count(), 1.0);
  EXPECT_LT(peak_rss_bytes() - memory_before, 100'000'000);
  if (entry.at("stage") != "parse") {
    EXPECT_EQ(message, "no error");  // its fault lies in what the model or the tokenizer make of it
    return;
  }
  ASSERT_NE(message, "no error") << entry;
  EXPECT_NE(message.find(path.string()), std::string::npos) << message;
  EXPECT_TRUE(is_utf8(message));
  const auto mentions = entry.at("message_should_mention_any_of").get<std::vector<std::string>>();
  const std::string text = lower(message.substr(message.find("] ")));  // the file's own name does not count
  EXPECT_TRUE(std::any_of(mentions.begin(), mentions.end(),
                          [&](const std::string& mention) { return text.find(lower(mention)) != std::string::npos; }))
      << message << "\nshould mention one of " << entry.at("message_should_mention_any_of");
}

INSTANTIATE_TEST_SUITE_P(Golden, GgufBad, testing::ValuesIn(cases()), test_name);

TEST(GgufBadGolden, has_cases_and_the_sound_twin_opens) {
  if (!fs::exists(folder() / "bad.json")) GTEST_SKIP() << "not there: " << folder() / "bad.json";
  EXPECT_FALSE(cases().empty());
  EXPECT_FALSE(GgufFile::open(folder() / "bad_twin_ok.gguf")->tensors().empty());
}

}  // namespace
}  // namespace morex::io
