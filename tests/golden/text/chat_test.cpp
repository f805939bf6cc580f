// golden/chat and the chat cases of golden/smollm2: rendered conversations, all exact.
#include <gtest/gtest.h>

#include <ctime>
#include <filesystem>
#include <iostream>
#include <map>
#include <sstream>

#include "base/files.h"
#include "base/json.h"
#include "base/strings.h"
#include "io/jsonl.h"
#include "support/paths.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

namespace morex::text {
namespace {

namespace fs = std::filesystem;

std::vector<OrderedJson> read_lines(const fs::path& path) {
  std::vector<OrderedJson> out;
  for (const std::string& line : split(read_text_file(path), '\n')) {
    if (!line.empty()) out.push_back(OrderedJson::parse(line));
  }
  return out;
}

// "2025-07-04T13:05:09" as a clock that stands still.
std::function<std::tm()> clock_at(const std::string& time) {
  std::tm now = {};
  strptime(time.c_str(), "%Y-%m-%dT%H:%M:%S", &now);
  now.tm_isdst = -1;
  mktime(&now);  // fills in the day of the week and of the year
  return [now] { return now; };
}

fs::path chat_dir() { return test::golden_dir() / "chat"; }

// Says so when the engine has not got something, and tells its caller to stop.
bool is_unsupported(const Error& error, const std::string& name) {
  if (std::string(error.what()).find("UnsupportedTemplate") == std::string::npos) return false;
  std::cout << "SKIPPED unsupported: " << name << ": " << error.what() << "\n";
  return true;
}

// Whether the message is about this error: the same class, and for errors the template raises the same words.
void expect_error(const Error& error, const OrderedJson& expected, const std::string& name) {
  const std::string message = error.what();
  const auto type = expected.at("type").get<std::string>();
  EXPECT_NE(message.find(type + ": "), std::string::npos) << name << ": " << message;
  if (type == "TemplateError") {
    EXPECT_TRUE(message.ends_with("TemplateError: " + expected.at("message").get<std::string>()))
        << name << ": " << message;
  }
}

std::string template_source(const std::string& source) {
  const size_t mark = source.find('#');
  const std::string file = source.substr(0, mark);
  const fs::path path = file.starts_with("data/") ? test::data_dir() / file.substr(5) : chat_dir() / file;
  if (!fs::exists(path)) return "";
  if (mark == std::string::npos) return read_text_file(path);
  return read_json_file(path).at(source.substr(mark + 1)).get<std::string>();
}

SpecialTokens special_tokens(const OrderedJson& names) {
  return {names.value("bos_token", ""), names.value("eos_token", ""), names.value("pad_token", ""),
          names.value("unk_token", "")};
}

class ChatGolden : public testing::TestWithParam<std::string> {};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(ChatGolden);

TEST_P(ChatGolden, Conversations_are_exact) {
  const OrderedJson index = read_ordered_json_file(chat_dir() / "templates.json");
  if (!index.at("templates").contains(GetParam())) FAIL() << "templates.json lacks " << GetParam();
  const OrderedJson& entry = index.at("templates").at(GetParam());
  const std::string source = template_source(entry.at("source").get<std::string>());
  if (source.empty()) {
    std::cout << "SKIPPED: " << entry.at("source") << " is not there\n";
    GTEST_SKIP();
  }
  std::map<std::string, OrderedJson> conversations;
  for (OrderedJson& line : read_lines(chat_dir() / "conversations.jsonl")) {
    conversations[line.at("id").get<std::string>()] = line;
  }
  const auto clock = clock_at(index.at("now").get<std::string>());
  int64_t cases = 0;
  for (const OrderedJson& line : read_lines(chat_dir() / (GetParam() + ".jsonl"))) {
    const OrderedJson& conversation = conversations.at(line.at("conv").get<std::string>());
    const std::string name =
        GetParam() + " " + line.at("conv").get<std::string>() + (line.at("agp").get<bool>() ? " agp" : "");
    ++cases;
    try {
      const ChatTemplate chat(source, special_tokens(entry.at("special_tokens")), clock);
      const RenderedChat rendered =
          chat.render(conversation.at("messages"), line.at("agp").get<bool>(), conversation.at("kwargs"));
      ASSERT_TRUE(line.contains("out")) << name << " should fail with " << line.at("error") << ", got "
                                        << rendered.text;
      EXPECT_EQ(rendered.text, line.at("out").get<std::string>()) << name;
      if (!line.contains("spans")) continue;
      std::vector<std::vector<int64_t>> spans;
      for (const auto& [begin, end] : rendered.assistant_spans) {
        const std::string_view text = rendered.text;
        spans.push_back({static_cast<int64_t>(count_code_points(text.substr(0, begin))),
                         static_cast<int64_t>(count_code_points(text.substr(0, end)))});
      }
      EXPECT_EQ(OrderedJson(spans), line.at("spans")) << name;
    } catch (const Error& error) {
      if (is_unsupported(error, name)) GTEST_SKIP();
      ASSERT_TRUE(line.contains("error")) << name << ": " << error.what();
      expect_error(error, line.at("error"), name);
    }
  }
  EXPECT_GT(cases, 0);
}

std::vector<std::string> templates_with_cases() {
  std::vector<std::string> out;
  for (const std::string& name : test::golden_cases("chat", ".jsonl")) {
    if (name != "conversations" && name != "jinja_features") out.push_back(name);
  }
  return out;
}

std::string test_name(std::string name) {
  for (char& c : name) c = isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  return name;
}

INSTANTIATE_TEST_SUITE_P(All, ChatGolden, testing::ValuesIn(templates_with_cases()),
                         [](const auto& info) { return test_name(info.param); });

class JinjaGolden : public testing::TestWithParam<std::string> {};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(JinjaGolden);

std::vector<std::string> feature_names() {
  std::vector<std::string> out;
  const fs::path file = chat_dir() / "jinja_features.jsonl";
  if (!fs::exists(file)) return out;
  for (const OrderedJson& line : read_lines(file)) out.push_back(line.at("id").get<std::string>());
  return out;
}

TEST_P(JinjaGolden, Feature_is_exact) {
  for (const OrderedJson& line : read_lines(chat_dir() / "jinja_features.jsonl")) {
    if (line.at("id") != GetParam()) continue;
    OrderedJson context = read_ordered_json_file(chat_dir() / "jinja_context.json");
    const OrderedJson messages = context.at("messages");
    const bool prompt = context.at("add_generation_prompt").get<bool>();
    context.erase("messages");
    context.erase("add_generation_prompt");
    const OrderedJson index = read_ordered_json_file(chat_dir() / "templates.json");
    try {
      const ChatTemplate chat(line.at("template").get<std::string>(), {}, clock_at(index.at("now").get<std::string>()));
      const std::string out = chat.render(messages, prompt, context).text;
      ASSERT_TRUE(line.contains("out")) << "should fail with " << line.at("error") << ", got " << out;
      EXPECT_EQ(out, line.at("out").get<std::string>());
    } catch (const Error& error) {
      if (is_unsupported(error, GetParam())) GTEST_SKIP();
      ASSERT_TRUE(line.contains("error")) << error.what();
      expect_error(error, line.at("error"), GetParam());
      if (line.at("error").at("type") != "TemplateError") continue;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, JinjaGolden, testing::ValuesIn(feature_names()),
                         [](const auto& info) { return test_name(info.param); });

TEST(SmolLm2Golden, Chat_cases_are_exact) {
  const fs::path file = test::golden_dir() / "smollm2" / "chat_cases.jsonl";
  for (const fs::path& needed : {file, test::smollm2_gguf()}) {
    if (fs::exists(needed)) continue;
    std::cout << "SKIPPED: " << needed << " is not there\n";
    GTEST_SKIP();
  }
  const auto tokenizer = Tokenizer::load(test::smollm2_gguf());
  const ChatTemplate chat(tokenizer->chat_template(), tokenizer->special_tokens());
  int64_t cases = 0;
  for (const OrderedJson& line : read_lines(file)) {
    ++cases;
    const std::string text = chat.render(line.at("messages"), line.at("add_generation_prompt").get<bool>()).text;
    EXPECT_EQ(text, line.at("text").get<std::string>());
    EXPECT_EQ(tokenizer->encode(text, false), line.at("ids").get<std::vector<int64_t>>());
  }
  EXPECT_GT(cases, 0);
}

}  // namespace
}  // namespace morex::text
