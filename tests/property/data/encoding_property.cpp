#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "data/response_encoding.h"
#include "unit/data/letter_tokenizer.h"

namespace morex::data {
namespace {

std::string draw_text() { return *rc::gen::container<std::string>(rc::gen::inRange('a', 'e')); }

TEST(EncodingProperty, lengths_masks_and_counts_agree) {
  const bool holds = rc::check([] {
    const test::LetterTokenizer tokenizer;
    DatasetOptions options;
    options.max_seq_length = *rc::gen::inRange<int64_t>(2, 60);
    options.truncation = *rc::gen::element<std::string>("concat", "whole_text");
    const PromptResponse text = {draw_text(), draw_text()};
    const Example example = encode_response(text, tokenizer, options);
    const auto whole = static_cast<int64_t>(1 + text.prompt.size() + text.response.size() + 1);
    RC_ASSERT(example.labels.size() == example.ids.size());
    RC_ASSERT(example.length() <= options.max_seq_length);
    RC_ASSERT(example.length() + example.cut_tokens == whole);
    RC_ASSERT(example.end_cut == (example.ids.back() != test::LetterTokenizer::kEos));
    bool taught = false;  // masked first, then taught to the end
    for (size_t i = 0; i < example.ids.size(); ++i) {
      const bool masked = example.labels[i] == kIgnoreLabel;
      RC_ASSERT(!masked || !taught);
      RC_ASSERT(masked || example.labels[i] == example.ids[i]);
      taught = !masked;
    }
  });
  EXPECT_TRUE(holds);
}

TEST(EncodingProperty, shared_cut_fills_the_row) {
  const bool holds = rc::check([] {
    const auto s = *rc::gen::inRange<int64_t>(0, 100);
    const auto t = *rc::gen::inRange<int64_t>(1, 100);
    const auto cutoff = *rc::gen::inRange<int64_t>(2, 100);
    const auto [keep_s, keep_t] = shared_cut(s, t, cutoff);
    RC_ASSERT(keep_s >= 0 && keep_s <= s && keep_t >= 0 && keep_t <= t);
    RC_ASSERT(keep_s + keep_t <= cutoff);
    RC_ASSERT(s + t > cutoff || (keep_s == s && keep_t == t));
  });
  EXPECT_TRUE(holds);
}

}  // namespace
}  // namespace morex::data
