#include "data/chat_encoding.h"

#include <gtest/gtest.h>

#include "unit/data/letter_tokenizer.h"
#include "unit/io/io_test_support.h"

namespace morex::data {
namespace {
using test::kChatMl;
using test::LetterTokenizer;

const OrderedJson kTwoTurns = OrderedJson::parse(R"([
  {"role": "system", "content": "s"}, {"role": "user", "content": "ü"}, {"role": "assistant", "content": "yes"},
  {"role": "user", "content": "b"}, {"role": "assistant", "content": "no"}])");

struct Encoded {
  Example example;
  std::string taught;  // the supervised ids as text, '.' between separate stretches
  Warnings warnings{false, false};
};

Encoded encode(const OrderedJson& messages, const std::string& source, const DatasetOptions& options = {}) {
  const LetterTokenizer tokenizer(source);
  Encoded result;
  const text::ChatTemplate chat_template(source, tokenizer.special_tokens());
  result.example = encode_chat(messages, chat_template, tokenizer, options, "rows.jsonl:7", result.warnings);
  bool open = false;
  for (size_t i = 0; i < result.example.labels.size(); ++i) {
    const bool taught = result.example.labels[i] != kIgnoreLabel;
    if (taught && !open && !result.taught.empty()) result.taught += '.';
    if (taught) result.taught += tokenizer.decode(std::span(&result.example.ids[i], 1), false);
    open = taught;
  }
  return result;
}

TEST(ChatEncoding, assistant_turns_with_their_end_are_taught) {
  const Encoded result = encode(kTwoTurns, kChatMl);
  EXPECT_EQ(result.taught, "yes<|im_end|>.no<|im_end|>");
  EXPECT_EQ(result.example.ids.back(), LetterTokenizer::kEnd);  // nothing after the last supervised id
  EXPECT_EQ(result.example.cut_tokens, 0);
  EXPECT_TRUE(result.warnings.counts().empty());
  EXPECT_NE(result.example.prompt_text.find("assistant\n"), std::string::npos);
}

TEST(ChatEncoding, no_special_tokens_are_added) {
  EXPECT_EQ(encode(kTwoTurns, kChatMl).example.ids.front(), LetterTokenizer::kStart);
}

TEST(ChatEncoding, the_end_of_turn_is_an_option) {
  DatasetOptions options;
  options.train_on_eos = false;
  EXPECT_EQ(encode(kTwoTurns, kChatMl, options).taught, "yes.no");
  options.train_on_inputs = true;
  const Encoded all = encode(kTwoTurns, kChatMl, options);
  EXPECT_EQ(all.example.labels, all.example.ids);
}

TEST(ChatEncoding, generation_blocks_decide_when_there_are_some) {
  const std::string source =
      "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
      "{% if message['role'] == 'assistant' %}{% generation %}{{ message['content'] + '<|im_end|>' }}{% endgeneration "
      "%}{{ '\n' }}"
      "{% else %}{{ message['content'] + '<|im_end|>' + '\n' }}{% endif %}{% endfor %}";
  EXPECT_EQ(encode(kTwoTurns, source).taught, "yes<|im_end|>.no<|im_end|>");
}

TEST(ChatEncoding, content_that_looks_like_a_template_stays_content) {
  const OrderedJson messages = OrderedJson::parse(
      R"([{"role": "user", "content": "<|im_start|>assistant\nno"}, {"role": "assistant", "content": "  a <|im_end|> b\n\n"}])");
  EXPECT_EQ(encode(messages, kChatMl).taught, "  a <|im_end|> b\n\n<|im_end|>");
}

TEST(ChatEncoding, a_template_without_end_of_turn_is_warned_about) {
  const std::string source =
      "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\n' }}{% endfor %}"
      "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}";
  const Encoded result = encode(kTwoTurns, source);
  EXPECT_EQ(result.taught, "yes\n.no\n");
  EXPECT_EQ(result.warnings.counts().at("data.no_end_of_turn"), 2);
}

TEST(ChatEncoding, a_template_that_rewrites_earlier_turns_is_refused) {
  const std::string source =
      "{{ messages | length }}{% for message in messages %}{{ message['role'] + message['content'] + '</s>' }}{% "
      "endfor %}"
      "{% if add_generation_prompt %}{{ 'assistant' }}{% endif %}";
  const std::string message = test::error_of([&] { encode(kTwoTurns, source); });
  for (const char* mention : {"rows.jsonl:7", "messages[2]", "Hint"})
    EXPECT_NE(message.find(mention), std::string::npos) << message;
}

TEST(ChatEncoding, a_refusal_of_the_template_names_the_line) {
  const std::string message = test::error_of([&] { encode(kTwoTurns, "{{ raise_exception('only users') }}"); });
  for (const char* mention : {"rows.jsonl:7", "only users"})
    EXPECT_NE(message.find(mention), std::string::npos) << message;
}

TEST(ChatEncoding, truncation_is_counted) {
  DatasetOptions options;
  const int64_t length = encode(kTwoTurns, kChatMl).example.length();
  options.max_seq_length = length - 2;  // "o" and the end are lost
  const Encoded result = encode(kTwoTurns, kChatMl, options);
  EXPECT_EQ(result.taught, "yes<|im_end|>.n");
  EXPECT_EQ(result.example.cut_tokens, 2);
  EXPECT_TRUE(result.example.end_cut);
}

TEST(ChatEncoding, without_an_assistant_nothing_is_taught) {
  const OrderedJson messages = OrderedJson::parse(R"([{"role": "user", "content": "a"}])");
  const Encoded result = encode(messages, kChatMl);
  EXPECT_EQ(result.example.supervised(), 0);
  EXPECT_GT(result.example.length(), 0);
}

}  // namespace
}  // namespace morex::data
