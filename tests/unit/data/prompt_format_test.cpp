#include "data/prompt_format.h"

#include <gtest/gtest.h>

#include "unit/io/io_test_support.h"

namespace morex::data {
namespace {
using test::error_of;

void expect_error(const std::function<void()>& action, const std::vector<std::string>& mentions) {
  const std::string message = error_of(action);
  for (const std::string& mention : mentions)
    EXPECT_NE(message.find(mention), std::string::npos) << mention << ": " << message;
}

Json row(const char* text) { return Json::parse(text); }

TEST(PromptFormat, is_chosen_by_keys) {
  EXPECT_EQ(choose_format("auto", row(R"({"instruction":"","output":""})"), "f:1"), Format::kAlpaca);
  EXPECT_EQ(choose_format("auto", row(R"({"prompt":"","completion":""})"), "f:1"), Format::kCompletion);
  EXPECT_EQ(choose_format("auto", row(R"({"prompt":"","response":""})"), "f:1"), Format::kCompletion);
  EXPECT_EQ(choose_format("auto", row(R"({"messages":[]})"), "f:1"), Format::kMessages);
  EXPECT_EQ(choose_format("auto", row(R"({"text":""})"), "f:1"), Format::kText);
  EXPECT_EQ(choose_format("text", row(R"({"messages":[]})"), "f:1"), Format::kText);
  expect_error([] { choose_format("auto", row(R"({"question":"","answer":""})"), "f:1"); },
               {"f:1", "answer, question", "Hint"});
  expect_error([] { choose_format("auto", row(R"({"conversations":[]})"), "f:1"); }, {"f:1", "rename conversations"});
  expect_error([] { choose_format("alpacca", row("{}"), "f:1"); }, {"alpacca", "Did you mean 'alpaca'"});
}

TEST(PromptFormat, alpaca_with_and_without_input) {
  const PromptResponse plain = read_alpaca(row(R"({"instruction":"Do.","output":"Done."})"), "f:1");
  EXPECT_EQ(plain.response, "Done.");
  EXPECT_TRUE(plain.prompt.ends_with("request.\n\n### Instruction:\nDo.\n\n### Response:\n"));
  EXPECT_EQ(read_alpaca(row(R"({"instruction":"Do.","input":"","output":""})"), "f:1").prompt, plain.prompt);
  EXPECT_EQ(read_alpaca(row(R"({"instruction":"Do.","input":null,"output":""})"), "f:1").prompt, plain.prompt);
  const PromptResponse with_input = read_alpaca(row(R"({"instruction":"Do.","input":"It.","output":""})"), "f:1");
  EXPECT_TRUE(with_input.prompt.ends_with("\n\n### Instruction:\nDo.\n\n### Input:\nIt.\n\n### Response:\n"));
  EXPECT_NE(with_input.prompt.find("paired with an input"), std::string::npos);
}

TEST(PromptFormat, keys_must_be_there_and_text) {
  expect_error([] { read_alpaca(row(R"({"instruction":"a","input":"b"})"), "f:3"); },
               {"f:3", "'output'", "missing", "input, instruction"});
  expect_error([] { read_alpaca(row(R"({"instruction":5,"output":""})"), "f:3"); },
               {"f:3", "'instruction'", "text", "number"});
  expect_error([] { read_alpaca(row(R"({"instruction":"","input":[],"output":""})"), "f:3"); }, {"'input'", "array"});
  expect_error([] { read_alpaca(row(R"({"instruction":"","output":null})"), "f:3"); }, {"'output'", "null"});
  expect_error([] { read_completion(row(R"({"prompt":"a"})"), "f:3"); }, {"f:3", "'completion'", "missing"});
  expect_error([] { read_completion(row(R"({"completion":"a"})"), "f:3"); }, {"f:3", "'prompt'", "missing"});
  expect_error([] { read_text(row(R"({"text":true})"), "f:3"); }, {"f:3", "'text'", "boolean"});
}

TEST(PromptFormat, messages_are_checked) {
  const OrderedJson messages =
      read_messages(row(R"({"messages":[{"content":"a","role":"user","id":3}],"x":1})"), "f:1");
  EXPECT_EQ(messages.dump(), R"([{"role":"user","content":"a"}])");
  const auto refuse = [](const char* text, const std::vector<std::string>& mentions) {
    expect_error([&] { read_messages(row(text), "f:4"); }, mentions);
  };
  refuse(R"({})", {"f:4", "'messages'", "missing"});
  refuse(R"({"messages":"hi"})", {"f:4", "list", "string"});
  refuse(R"({"messages":[]})", {"f:4", "empty list"});
  refuse(R"({"messages":["hi"]})", {"f:4", "messages[0]", "object", "string"});
  refuse(R"({"messages":[{"role":"user","content":"a"},{"role":"user"}]})", {"f:4", "messages[1]", "'content'"});
  refuse(R"({"messages":[{"content":"a"}]})", {"messages[0]", "'role'"});
  refuse(R"({"messages":[{"role":"gpt","content":"a"}]})", {"messages[0].role", "assistant", "gpt"});
  refuse(R"({"messages":[{"role":1,"content":"a"}]})", {"messages[0].role", "number"});
  refuse(R"({"messages":[{"role":"user","content":null}]})", {"messages[0].content", "text", "null"});
  refuse(R"({"messages":[{"role":"user","content":[{"type":"text","text":"a"}]}]})",
         {"messages[0].content", "array", "Hint"});
}

}  // namespace
}  // namespace morex::data
