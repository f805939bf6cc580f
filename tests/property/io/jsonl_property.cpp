#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "io/jsonl.h"
#include "support/paths.h"
#include "unit/io/io_test_support.h"

namespace morex::io {
namespace {
namespace fs = std::filesystem;

const fs::path& scratch_file() {
  static const fs::path path = test::scratch_dir("jsonl_property") / "rows.jsonl";
  return path;
}

std::vector<Json> read_all() {
  JsonlReader reader(scratch_file());
  std::vector<Json> rows;
  Json object;
  while (reader.next(object)) rows.push_back(object);
  return rows;
}

// What a run leaves behind: steps 1 … `last`, cut at any byte, then resumed from a checkpoint at or before what stands.
TEST(JsonlProperty, a_resume_after_a_cut_leaves_each_step_once) {
  const bool holds = rc::check([] {
    const auto last = *rc::gen::inRange<int64_t>(1, 20);
    const auto text = *rc::gen::container<std::string>(rc::gen::inRange<char>(1, 127));
    fs::remove(scratch_file());
    {
      JsonlAppender appender(scratch_file(), [](const Json&) { return true; });
      for (int64_t step = 1; step <= last; ++step) appender.append({{"step", step}, {"text", text}});
    }
    const std::string content = test::read_file(scratch_file());
    const auto cut = *rc::gen::inRange<size_t>(0, content.size() + 1);
    test::write_file(scratch_file(), content.substr(0, cut));
    const int64_t whole = std::count(content.begin(), content.begin() + static_cast<std::ptrdiff_t>(cut), '\n');
    const auto first = *rc::gen::inRange<int64_t>(1, whole + 2);
    {
      JsonlAppender appender(scratch_file(), [&](const Json& row) { return row.at("step").get<int64_t>() < first; });
      for (int64_t step = first; step <= last; ++step) appender.append({{"step", step}, {"text", text}});
    }
    RC_ASSERT(test::read_file(scratch_file()) == content);
  });
  EXPECT_TRUE(holds);
}

TEST(JsonlProperty, random_bytes_are_rows_or_an_error) {
  const bool holds = rc::check([] {
    test::write_file(scratch_file(), *rc::gen::arbitrary<std::string>());
    try {
      for (const Json& row : read_all()) RC_ASSERT(row.is_object());
    } catch (const Error& error) {
      RC_ASSERT(error.kind() == ErrorKind::kData);
      RC_ASSERT(std::string(error.what()).find("rows.jsonl") != std::string::npos);
    }
  });
  EXPECT_TRUE(holds);
}

}  // namespace
}  // namespace morex::io
