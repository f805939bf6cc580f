#include "io/jsonl.h"

#include <gtest/gtest.h>

#include "support/paths.h"
#include "unit/io/io_test_support.h"

namespace morex::io {
namespace {
using test::error_of;

class Jsonl : public testing::Test {
 protected:
  std::vector<std::pair<int64_t, Json>> read(std::string_view content) {
    test::write_file(path_, content);
    JsonlReader reader(path_);
    std::vector<std::pair<int64_t, Json>> rows;
    Json object;
    while (reader.next(object)) rows.emplace_back(reader.line_number(), object);
    return rows;
  }
  void expect_refused(std::string_view content, const std::vector<std::string>& mentions) {
    const std::string message = error_of([&] { read(content); });
    for (const std::string& mention : mentions)
      EXPECT_NE(message.find(mention), std::string::npos) << mention << ": " << message;
  }
  // The file's content after it was opened for appending, keeping what stands before step `first_step`.
  std::string resumed(std::string_view content, int64_t first_step) {
    test::write_file(path_, content);
    JsonlAppender(path_, [&](const Json& row) { return row.value("step", int64_t{0}) < first_step; });
    return test::read_file(path_);
  }
  std::filesystem::path path_ = test::scratch_dir("jsonl") / "rows.jsonl";
};

TEST_F(Jsonl, rows_with_their_lines) {
  const auto rows = read("\xEF\xBB\xBF{\"a\":1}\r\n\n  \n{\"a\":\"é\"}\n{\"a\":3}");
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].first, 1);
  EXPECT_EQ(rows[1].first, 4);
  EXPECT_EQ(rows[1].second["a"], "é");
  EXPECT_EQ(rows[2].first, 5);
  EXPECT_TRUE(read("").empty());
}

TEST_F(Jsonl, bad_lines_are_named) {
  expect_refused("{\"a\":1}\n{\"a\":\n", {"rows.jsonl:2", "JSON"});
  expect_refused("{\"a\":1}\n[1]\n", {"rows.jsonl:2", "object", "array"});
  expect_refused("{\"a\":\"\xFF\"}\n", {"rows.jsonl:1", "UTF-8"});
  expect_refused("{\"a\":1} {\"a\":2}\n", {"rows.jsonl:1", "JSON"});
  expect_refused(std::string(1'000'000, '['), {"rows.jsonl:1"});
  EXPECT_NE(error_of([&] { JsonlReader(path_.parent_path() / "none.jsonl"); }).find("none.jsonl"), std::string::npos);
  EXPECT_NE(error_of([&] { JsonlReader(path_.parent_path()); }).find("folder"), std::string::npos);
}

TEST_F(Jsonl, appended_lines_are_whole) {
  JsonlAppender appender(path_, [](const Json&) { return true; });
  appender.append({{"step", 1}, {"text", "a\nb"}});
  appender.append({{"step", 2}});
  EXPECT_EQ(test::read_file(path_), "{\"step\":1,\"text\":\"a\\nb\"}\n{\"step\":2}\n");
}

TEST_F(Jsonl, a_torn_last_line_is_removed) {
  EXPECT_EQ(resumed("{\"step\":1}\n{\"step\":2", 100), "{\"step\":1}\n");
  EXPECT_EQ(resumed("{\"step\":1}\n{\"st\n", 100), "{\"step\":1}\n");
  EXPECT_EQ(resumed("{\"step\":1}\n{\"step\":2}", 100), "{\"step\":1}\n");
  EXPECT_EQ(resumed("{", 100), "");
  EXPECT_EQ(resumed("", 100), "");
}

TEST_F(Jsonl, content_from_the_first_refused_line_on_is_dropped) {
  EXPECT_EQ(resumed("{\"step\":1}\n{\"step\":2}\n{\"step\":1}\n", 2), "{\"step\":1}\n");
  EXPECT_EQ(resumed("{\"step\":1}\n{\"step\":2}\n", 3), "{\"step\":1}\n{\"step\":2}\n");
}

TEST_F(Jsonl, a_foreign_file_is_not_destroyed) {
  const std::string content = "{\"step\":1}\nnot ours\n{\"step\":2}\n";
  EXPECT_NE(error_of([&] { resumed(content, 9); }).find("rows.jsonl:2"), std::string::npos);
  EXPECT_EQ(test::read_file(path_), content);
}

TEST_F(Jsonl, a_full_disk_is_an_error) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "no /dev/full here";
  std::filesystem::create_symlink("/dev/full", path_);
  const std::string message = error_of([&] {
    JsonlAppender appender(path_, [](const Json&) { return true; });
    appender.append({{"step", 1}});
  });
  EXPECT_NE(message, "no error");
}

}  // namespace
}  // namespace morex::io
