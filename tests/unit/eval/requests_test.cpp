#include "eval/requests.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "fakes.h"

namespace morex::eval {
namespace {

using Ids = std::vector<int64_t>;

const test::FakeTokenizer& tokenizer() {
  static const test::FakeTokenizer result;
  return result;
}

Ids ids(const std::string& text, bool special = false) { return tokenizer().encode(text, special); }

// Prefix and continuation as the model reads them.
Ids input_of(Ids context, const Ids& continuation) {
  context.insert(context.end(), continuation.begin(), continuation.end());
  context.pop_back();
  return context;
}

TEST(Requests, TheContinuationIsWhatTheJointTextHasMore) {
  const ChoiceRequests got = make_requests(tokenizer(), "ab", {"c", "de"}, 64);
  EXPECT_EQ(got.context_ids, ids("ab", true));
  EXPECT_EQ(got.choices[0].continuation, ids(" c"));
  EXPECT_EQ(got.choices[1].continuation, ids(" de"));
  EXPECT_EQ(got.choices[1].input, input_of(got.context_ids, ids(" de")));
  EXPECT_FALSE(got.choices[0].border_moved);
  EXPECT_EQ(got.choices[0].cut_left, 0);
}

TEST(Requests, AMovedBorderLosesTheBlank) {
  // "a: no" has the piece ": " where the context alone ends in ":".
  const ChoiceRequests got = make_requests(tokenizer(), "a:", {"no"}, 64);
  EXPECT_TRUE(got.choices[0].border_moved);
  EXPECT_EQ(got.choices[0].continuation, ids("no"));
  EXPECT_EQ(got.choices[0].input, input_of(ids("a:", true), ids("no")));
}

TEST(Requests, AContinuationMayComeOutEmpty) {
  const ChoiceRequests got = make_requests(tokenizer(), "go", {"o", "x"}, 64);
  EXPECT_TRUE(got.choices[0].continuation.empty());
  EXPECT_TRUE(got.choices[0].border_moved);
  EXPECT_EQ(got.choices[1].continuation, ids(" x"));
}

TEST(Requests, BlanksAtTheEndOfTheContextMove) {
  const ChoiceRequests got = make_requests(tokenizer(), "ab \n", {"c"}, 64);
  EXPECT_EQ(got.context_ids, ids("ab", true));
  EXPECT_EQ(got.choices[0].continuation, ids(" \n c"));
}

TEST(Requests, AnEmptyContextIsTheBosId) {
  const ChoiceRequests got = make_requests(tokenizer(), "", {"c"}, 64);
  EXPECT_EQ(got.context_ids, Ids{1});
  EXPECT_EQ(got.choices[0].continuation, ids(" c"));
}

TEST(Requests, ATextThatStartsWithTheBosGetsNoSecondOne) {
  const ChoiceRequests got = make_requests(tokenizer(), "<s>ab", {"c"}, 64);
  EXPECT_EQ(got.context_ids, ids("ab", true));
}

TEST(Requests, TooLongALineIsCutOnTheLeft) {
  // 1 BOS + 4 + 2 ids; the last of them is not read, so 4 positions hold the last 5 ids without the final one.
  const ChoiceRequests got = make_requests(tokenizer(), "abcd", {"e"}, 4);
  EXPECT_EQ(got.context_ids.size(), 5u);
  EXPECT_EQ(got.choices[0].cut_left, 2);
  EXPECT_EQ(got.choices[0].input, ids("bcd "));
  EXPECT_EQ(got.choices[0].continuation, ids(" e"));
}

TEST(Requests, AChoiceLongerThanThePositionsIsRefused) {
  try {
    make_requests(tokenizer(), "ab", {"long choice"}, 4);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kData);
  }
}

}  // namespace
}  // namespace morex::eval
