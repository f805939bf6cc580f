// golden/models/models_bad: the cases whose fault lies in the weight files themselves.
#include <gtest/gtest.h>

#include <algorithm>

#include "base/json.h"
#include "io/safetensors.h"
#include "support/paths.h"
#include "unit/io/io_test_support.h"

namespace morex::io {
namespace {
namespace fs = std::filesystem;

fs::path folder() { return test::golden_dir() / "models" / "models_bad"; }

// Faults that the file layer must find; the others are for the layers above. Whatever is refused here must say why.
bool is_file_fault(const std::string& name) {
  static const std::vector<std::string> kFaults = {
      "truncated_data",         "truncated_header",      "tiny_file",           "header_length_beyond_file",
      "header_length_overflow", "header_not_json",       "overlapping_offsets", "reversed_offsets",
      "offset_beyond_data",     "trailing_bytes",        "unknown_dtype",       "shape_bytes_mismatch",
      "shape_overflow",         "duplicate_tensor_name", "index_missing_shard", "index_wrong_shard",
      "index_path_traversal",   "index_not_object",      "no_weights",          "pickle_only"};
  return std::find(kFaults.begin(), kFaults.end(), name) != kFaults.end();
}

std::vector<Json> cases() {
  std::vector<Json> list;
  if (!fs::exists(folder() / "bad.json")) return list;
  const Json all = read_json_file(folder() / "bad.json");
  for (const Json& entry : all.at("cases"))
    if (!entry.at("dir").get<std::string>().starts_with("adapter")) list.push_back(entry);
  return list;
}

std::string test_name(const testing::TestParamInfo<Json>& info) { return info.param.at("dir").get<std::string>(); }

class SafetensorsBad : public testing::TestWithParam<Json> {};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(SafetensorsBad);

TEST_P(SafetensorsBad, is_refused_with_what_is_wrong) {
  const Json& entry = GetParam();
  const std::string name = entry.at("dir");
  const std::string message = test::error_of([&] { SafetensorsFolder::open(folder() / name); });
  if (message == "no error") {
    EXPECT_FALSE(is_file_fault(name));
    return;
  }
  EXPECT_EQ(entry.at("expect").get<std::string>().find("ok"), std::string::npos) << message;
  for (const Json& mention : entry.at("must_mention"))
    EXPECT_NE(message.find(mention.get<std::string>()), std::string::npos) << mention << " is not in: " << message;
  EXPECT_EQ(message.find('\n'), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Golden, SafetensorsBad, testing::ValuesIn(cases()), test_name);

TEST(SafetensorsBadGolden, has_cases) {
  if (!fs::exists(folder())) GTEST_SKIP() << "not there: " << folder();
  EXPECT_FALSE(cases().empty());
}

}  // namespace
}  // namespace morex::io
