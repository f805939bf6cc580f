#include "data/response_encoding.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "unit/data/letter_tokenizer.h"
#include "unit/io/io_test_support.h"

namespace morex::data {
namespace {
using test::LetterTokenizer;
constexpr int64_t kBos = LetterTokenizer::kBos, kEos = LetterTokenizer::kEos;

std::vector<int64_t> letters(std::string_view text) { return LetterTokenizer().encode(text, false); }

std::vector<int64_t> joined(std::initializer_list<std::vector<int64_t>> parts) {
  std::vector<int64_t> ids;
  for (const auto& part : parts) ids.insert(ids.end(), part.begin(), part.end());
  return ids;
}

// The ids that are supervised.
std::vector<int64_t> taught(const Example& example) {
  std::vector<int64_t> ids;
  for (size_t i = 0; i < example.labels.size(); ++i) {
    if (example.labels[i] == kIgnoreLabel) continue;
    EXPECT_EQ(example.labels[i], example.ids[i]);
    ids.push_back(example.labels[i]);
  }
  return ids;
}

DatasetOptions with(const std::string& truncation, int64_t max_seq_length = 1024) {
  DatasetOptions options;
  options.truncation = truncation;
  options.max_seq_length = max_seq_length;
  return options;
}

TEST(ResponseEncoding, prompt_is_masked_and_eos_is_taught) {
  const LetterTokenizer tokenizer;
  for (const char* truncation : {"concat", "whole_text"}) {
    const Example example = encode_response({"ab", "cd"}, tokenizer, with(truncation));
    EXPECT_EQ(example.ids, joined({{kBos}, letters("abcd"), {kEos}}));
    EXPECT_EQ(taught(example), joined({letters("cd"), {kEos}}));
    EXPECT_EQ(example.cut_tokens, 0);
    EXPECT_FALSE(example.end_cut);
    EXPECT_EQ(example.prompt_text, "ab");
    EXPECT_EQ(example.supervised(), 3);
  }
}

TEST(ResponseEncoding, inputs_and_eos_are_options) {
  const LetterTokenizer tokenizer;
  for (const char* truncation : {"concat", "whole_text"}) {
    DatasetOptions options = with(truncation);
    options.train_on_inputs = true;
    EXPECT_EQ(taught(encode_response({"ab", "cd"}, tokenizer, options)), joined({{kBos}, letters("abcd"), {kEos}}));
    options.train_on_inputs = false;
    options.train_on_eos = false;
    EXPECT_EQ(encode_response({"ab", "cd"}, tokenizer, options).ids, joined({{kBos}, letters("abcd")}));
  }
}

TEST(ResponseEncoding, an_eos_in_the_text_is_not_doubled) {
  const LetterTokenizer tokenizer;
  for (const char* truncation : {"concat", "whole_text"})
    EXPECT_EQ(encode_response({"a", "b</s>"}, tokenizer, with(truncation)).ids,
              joined({{kBos}, letters("ab"), {kEos}}));
}

TEST(ResponseEncoding, an_eos_of_the_tokenizer_does_not_end_the_prompt) {
  LetterTokenizer tokenizer;
  tokenizer.add_eos = true;
  for (const char* truncation : {"concat", "whole_text"}) {
    const Example example = encode_response({"ab", "cd"}, tokenizer, with(truncation));
    EXPECT_EQ(example.ids, joined({{kBos}, letters("abcd"), {kEos}}));
    EXPECT_EQ(taught(example), joined({letters("cd"), {kEos}}));
  }
}

TEST(ResponseEncoding, a_tokenizer_without_eos_is_refused_unless_none_is_wanted) {
  LetterTokenizer tokenizer;
  tokenizer.has_eos = false;
  DatasetOptions options;
  EXPECT_NE(test::error_of([&] { encode_response({"a", "b"}, tokenizer, options); }).find("EOS"), std::string::npos);
  options.train_on_eos = false;
  EXPECT_EQ(encode_response({"a", "b"}, tokenizer, options).length(), 3);
}

TEST(ResponseEncoding, whole_text_is_cut_right) {
  const LetterTokenizer tokenizer;
  Example example = encode_response({"ab", "cdef"}, tokenizer, with("whole_text", 5));
  EXPECT_EQ(example.ids, joined({{kBos}, letters("abcd")}));
  EXPECT_EQ(taught(example), letters("cd"));
  EXPECT_EQ(example.cut_tokens, 3);  // e, f and EOS
  EXPECT_TRUE(example.end_cut);
  example = encode_response({"ab", "cd"}, tokenizer, with("whole_text", 5));  // all but the EOS fits
  EXPECT_EQ(example.cut_tokens, 1);
  EXPECT_TRUE(example.end_cut);
  example = encode_response({"abcdefgh", "x"}, tokenizer, with("whole_text", 5));
  EXPECT_EQ(example.supervised(), 0);
}

TEST(ResponseEncoding, concat_cuts_both_sides) {
  const LetterTokenizer tokenizer;
  // A short response is kept whole; the prompt keeps its head.
  Example example = encode_response({"abcdefghij", "xy"}, tokenizer, with("concat", 8));
  EXPECT_EQ(example.ids, joined({{kBos}, letters("abcd"), letters("xy"), {kEos}}));
  EXPECT_EQ(taught(example), joined({letters("xy"), {kEos}}));
  EXPECT_EQ(example.cut_tokens, 6);
  EXPECT_FALSE(example.end_cut);
  // A short prompt is kept whole; the response keeps its head and loses its EOS.
  example = encode_response({"a", "uvwxyz"}, tokenizer, with("concat", 6));
  EXPECT_EQ(example.ids, joined({{kBos}, letters("auvwx")}));
  EXPECT_TRUE(example.end_cut);
}

TEST(ResponseEncoding, shared_cut_by_hand) {
  EXPECT_EQ(shared_cut(10, 3, 8), (std::pair<int64_t, int64_t>{5, 3}));
  EXPECT_EQ(shared_cut(3, 10, 8), (std::pair<int64_t, int64_t>{3, 5}));
  EXPECT_EQ(shared_cut(10, 10, 8), (std::pair<int64_t, int64_t>{4, 4}));
  EXPECT_EQ(shared_cut(30, 10, 8), (std::pair<int64_t, int64_t>{6, 2}));
  EXPECT_EQ(shared_cut(3, 3, 8), (std::pair<int64_t, int64_t>{3, 3}));
  EXPECT_EQ(shared_cut(4, 4, 8), (std::pair<int64_t, int64_t>{4, 4}));
}

TEST(ResponseEncoding, plain_text_is_taught_whole) {
  const LetterTokenizer tokenizer;
  Example example = encode_text("abc", tokenizer, DatasetOptions{});
  EXPECT_EQ(taught(example), joined({{kBos}, letters("abc"), {kEos}}));
  EXPECT_EQ(example.supervised(), 4);
  example = encode_text("abc", tokenizer, with("concat", 3));
  EXPECT_EQ(example.ids, joined({{kBos}, letters("ab")}));
  EXPECT_EQ(example.cut_tokens, 2);
}

}  // namespace
}  // namespace morex::data
