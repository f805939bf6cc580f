#include "base/strings.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/system.h"
#include "base/warnings.h"

namespace morex {
namespace {

TEST(Strings, nearest_name_finds_typos_and_nothing_far_away) {
  const std::vector<std::string> names = {"learning_rate", "lora_alpha", "seed"};
  EXPECT_EQ(nearest_name("learning_rte", names), "learning_rate");
  EXPECT_EQ(nearest_name("lora-alpha", names), "lora_alpha");
  EXPECT_EQ(nearest_name("completely_other", names), "");
}

TEST(Strings, split_join_trim) {
  EXPECT_EQ(split("a,,b", ','), (std::vector<std::string>{"a", "", "b"}));
  EXPECT_EQ(join({"a", "b"}, ", "), "a, b");
  EXPECT_EQ(trim(" \t x y\n"), "x y");
  EXPECT_EQ(trim("  "), "");
}

TEST(Strings, sizes_and_durations_read_well) {
  EXPECT_EQ(format_bytes(512), "512 B");
  EXPECT_EQ(format_bytes(1536), "1.5 KiB");
  EXPECT_EQ(format_duration(12.34), "12.3s");
  EXPECT_EQ(format_duration(185), "3m05s");
  EXPECT_EQ(format_duration(3720), "1h02m");
}

TEST(Warnings, are_counted_and_errors_when_strict) {
  Warnings warnings(false, false);
  warnings.add("data.truncated", "first");
  warnings.add("data.truncated", "second");
  EXPECT_EQ(warnings.counts().at("data.truncated"), 2);
  EXPECT_EQ(warnings.messages().at("data.truncated"), "first");
  Warnings strict(true, false);
  EXPECT_THROW(strict.add("x", "y"), Error);
}

TEST(System, facts_are_plausible) {
  EXPECT_GE(available_cores(), 1);
  EXPECT_GT(peak_rss_bytes(), 1 << 20);
  EXPECT_GT(total_memory_bytes(), int64_t{1} << 28);
  EXPECT_FALSE(mapped_libraries("libstdc++").empty());
}

}  // namespace
}  // namespace morex
