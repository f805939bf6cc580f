#include "cli/output.h"

#include <gtest/gtest.h>

namespace morex::cli {
namespace {

TEST(Output, Numbers_stand_right_and_words_left) {
  Table table({"task", "n"});
  table.add({"arc_easy", "5"});
  table.add({"boolq", "150"});
  EXPECT_EQ(table.text(), "task        n\narc_easy    5\nboolq     150\n");
}

TEST(Output, Numbers_are_readable) {
  EXPECT_EQ(with_thousands(0), "0");
  EXPECT_EQ(with_thousands(999), "999");
  EXPECT_EQ(with_thousands(134515008), "134,515,008");
  EXPECT_EQ(with_thousands(-1234), "-1,234");
  EXPECT_EQ(in_millions(134515008), "134.515 M");
  EXPECT_EQ(in_millions(8030261248), "8.030 B");
}

}  // namespace
}  // namespace morex::cli
