#include "io/text_check.h"

#include <gtest/gtest.h>

namespace morex::io {
namespace {

TEST(TextCheck, well_formed_utf8_is_accepted) {
  EXPECT_TRUE(is_utf8(""));
  EXPECT_TRUE(is_utf8("plain"));
  EXPECT_TRUE(is_utf8("grüße 🙂 日本 \xF4\x8F\xBF\xBF"));
}

TEST(TextCheck, overlong_surrogate_and_torn_sequences_are_refused) {
  for (const char* text : {"\x80", "\xC0\x80", "\xC1\xBF", "\xE0\x80\x80", "\xED\xA0\x80", "\xF0\x80\x80\x80",
                           "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xE2\x82", "a\xFF", "\xC3("})
    EXPECT_FALSE(is_utf8(text)) << printable(text);
}

TEST(TextCheck, printable_is_short_one_line_and_utf8) {
  EXPECT_EQ(printable("a\nb\xFF"
                      "c\x7F"),
            "a?b?c?");
  EXPECT_EQ(printable("日本"), "日本");
  const std::string shown = printable(std::string(5000, 'x'));
  EXPECT_LT(shown.size(), 130u);
  EXPECT_TRUE(shown.ends_with("…"));
  std::string cut_inside(119, 'x');
  cut_inside.append("é…");
  EXPECT_TRUE(is_utf8(printable(cut_inside)));
}

}  // namespace
}  // namespace morex::io
