#include "eval/text_stream.h"

#include <gtest/gtest.h>

#include "fakes.h"

namespace morex::eval {
namespace {

struct Streamed {
  std::string text, emitted;
  bool stopped = false;
};

Streamed stream(const std::string& text, std::vector<std::string> stops) {
  const test::FakeTokenizer tokenizer{std::vector<std::string>{}};
  Streamed result;
  TextStream out(&tokenizer, std::move(stops), [&](const std::string& part) { result.emitted += part; });
  for (const int64_t id : tokenizer.encode(text, false)) {
    result.stopped = out.push(id);
    if (result.stopped) break;
  }
  result.text = out.finish();
  return result;
}

TEST(TextStream, WithoutStopsEverythingPasses) {
  const Streamed got = stream("one two", {});
  EXPECT_EQ(got.text, "one two");
  EXPECT_EQ(got.emitted, got.text);
  EXPECT_FALSE(got.stopped);
}

TEST(TextStream, CutsAtTheStopStringAndNeverShowsItsBeginning) {
  const Streamed got = stream("one STAR STOP more", {"STOP", "###"});
  EXPECT_EQ(got.text, "one STAR ");
  EXPECT_EQ(got.emitted, got.text);
  EXPECT_TRUE(got.stopped);
}

TEST(TextStream, TheEarliestStopStringDecides) { EXPECT_EQ(stream("ab cd", {"d", "b c"}).text, "a"); }

TEST(TextStream, AHeldBackBeginningIsShownAtTheEnd) {
  const Streamed got = stream("wait ST", {"STOP"});
  EXPECT_EQ(got.text, "wait ST");
  EXPECT_EQ(got.emitted, "wait ST");
}

TEST(TextStream, WithoutATokenizerThereIsNoText) {
  TextStream out(nullptr, {}, {});
  EXPECT_FALSE(out.push(40));
  EXPECT_EQ(out.finish(), "");
}

}  // namespace
}  // namespace morex::eval
