#include "eval/python_text.h"

#include <gtest/gtest.h>

namespace morex::eval {
namespace {

TEST(PythonText, StripsWhatPythonCallsBlank) {
  EXPECT_EQ(python_rstrip("a b \n\t\x1c"), "a b");
  EXPECT_EQ(python_rstrip("a\xc2\xa0\xe3\x80\x80\xe2\x80\x8a"), "a");
  EXPECT_EQ(python_rstrip("a\xe2\x80\x8b"), "a\xe2\x80\x8b");  // a zero-width space is no blank
  EXPECT_EQ(python_strip(" \xe2\x80\x83 x y\n"), "x y");
  EXPECT_EQ(python_strip(" \n"), "");
}

TEST(PythonText, CountsCodePoints) {
  EXPECT_EQ(character_count(""), 0);
  EXPECT_EQ(character_count("naïve 日本 🙂"), 10);
}

}  // namespace
}  // namespace morex::eval
