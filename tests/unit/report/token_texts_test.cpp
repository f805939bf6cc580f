#include "report/token_texts.h"

#include <gtest/gtest.h>

#include <numeric>

#include "support/paths.h"
#include "text/utf8.h"

namespace morex::report {
namespace {

TEST(TokenTexts, Together_they_are_the_text_and_each_is_valid) {
  const auto tokenizer =
      text::Tokenizer::load(test::source_dir() / "tests" / "golden" / "data" / "gguf" / "llama_untied_hf");
  // Characters of two to four bytes, which this tokenizer cuts into bytes.
  const std::string text = "the hand <b>&amp;</b> über 漢字 🙂 end";
  const std::vector<int64_t> ids = tokenizer->encode(text, false);
  const std::vector<std::string> texts = token_texts(tokenizer, ids);
  ASSERT_EQ(texts.size(), ids.size());
  EXPECT_EQ(std::accumulate(texts.begin(), texts.end(), std::string()), tokenizer->decode(ids, false));
  bool partial = false;
  for (const std::string& part : texts) {
    EXPECT_FALSE(text::replace_invalid_utf8(part).has_value()) << part;
    partial = partial || part.empty();
  }
  EXPECT_TRUE(partial) << "some token should be a part of a character";
}

TEST(TokenTexts, A_character_that_is_never_completed_is_replaced) {
  const auto tokenizer =
      text::Tokenizer::load(test::source_dir() / "tests" / "golden" / "data" / "gguf" / "llama_untied_hf");
  std::vector<int64_t> ids = tokenizer->encode("a🙂", false);
  ids.pop_back();
  const std::vector<std::string> texts = token_texts(tokenizer, ids);
  EXPECT_NE(texts.back().find("\uFFFD"), std::string::npos);
  EXPECT_TRUE(token_texts(tokenizer, {}).empty());
}

}  // namespace
}  // namespace morex::report
