#include "io/gguf.h"

#include <gtest/gtest.h>

#include "io/text_check.h"
#include "support/paths.h"
#include "unit/io/io_test_support.h"

namespace morex::io {
namespace {
using test::error_of;
using test::gguf_string;
using test::GgufBytes;
using test::raw;

constexpr uint32_t kU32 = 4, kI32 = 5, kF32 = 6, kBool = 7, kString = 8, kArray = 9, kU64 = 10;

class Gguf : public testing::Test {
 protected:
  std::shared_ptr<const GgufFile> open(const GgufBytes& file) {
    test::write_file(path_, file.bytes());
    return GgufFile::open(path_);
  }
  void expect_refused(const GgufBytes& file, const std::vector<std::string>& mentions) {
    const std::string message = error_of([&] { open(file); });
    EXPECT_NE(message.find("model.gguf]"), std::string::npos) << message;
    for (const std::string& mention : mentions)
      EXPECT_NE(message.find(mention), std::string::npos) << mention << ": " << message;
    EXPECT_TRUE(is_utf8(message));
  }
  std::filesystem::path path_ = test::scratch_dir("gguf") / "model.gguf";
};

TEST_F(Gguf, tensors_and_metadata_are_read) {
  GgufBytes file;
  file.entry("name", kString, gguf_string("grüße"));
  file.entry("count", kU64, raw<uint64_t>(7));
  file.entry("scale", kF32, raw(0.5f));
  file.entry("flag", kBool, raw<uint8_t>(1));
  file.entry("words", kArray, raw(kString) + raw<uint64_t>(2) + gguf_string("a") + gguf_string(""));
  file.entry("types", kArray, raw(kI32) + raw<uint64_t>(2) + raw<int32_t>(-1) + raw<int32_t>(3));
  file.entry("scores", kArray, raw(kF32) + raw<uint64_t>(1) + raw(1.5f));
  file.tensor("t", {3, 2}, 0, 0);
  file.tensor("scalar", {}, 0, 32);
  file.data = std::string(24, 'x') + std::string(8, '\0') + raw(2.0f);
  const auto gguf = open(file);
  EXPECT_EQ(gguf->version(), 3u);
  EXPECT_EQ(gguf->get_string("name"), "grüße");
  EXPECT_EQ(gguf->get_int("count"), 7);
  EXPECT_EQ(gguf->get_float("scale"), 0.5);
  EXPECT_TRUE(gguf->get_bool_or("flag", false));
  EXPECT_EQ(gguf->get_strings("words"), (std::vector<std::string>{"a", ""}));
  EXPECT_EQ(gguf->get_ints("types"), (std::vector<int64_t>{-1, 3}));
  EXPECT_EQ(gguf->get_floats("scores"), (std::vector<double>{1.5}));
  EXPECT_EQ(gguf->get_int_or("absent", 5), 5);
  EXPECT_EQ(gguf->get_float_or("absent", 5.5), 5.5);
  EXPECT_FALSE(gguf->get_bool_or("absent", false));
  ASSERT_NE(gguf->find("t"), nullptr);
  EXPECT_EQ(gguf->find("t")->shape, (std::vector<int64_t>{2, 3}));  // the file has the fastest dimension first
  EXPECT_EQ(gguf->find("t")->bytes.size(), 24u);
  EXPECT_TRUE(gguf->find("scalar")->shape.empty());
  EXPECT_EQ(gguf->find("nothing"), nullptr);
}

TEST_F(Gguf, typed_access_names_key_and_kinds) {
  GgufBytes file;
  file.entry("text", kString, gguf_string("x"));
  file.entry("huge", kU64, raw<uint64_t>(UINT64_MAX));
  file.entry("words", kArray, raw(kString) + raw<uint64_t>(1) + gguf_string("a"));
  file.entry("bytes", kString, gguf_string("\xFF"));
  const auto gguf = open(file);
  const auto says = [&](auto action, const std::vector<std::string>& mentions) {
    const std::string message = error_of(action);
    for (const std::string& mention : mentions)
      EXPECT_NE(message.find(mention), std::string::npos) << mention << ": " << message;
  };
  says([&] { gguf->get_string("absent"); }, {"missing key absent", "model.gguf"});
  says([&] { gguf->get_int("text"); }, {"text has the wrong type", "integer", "string"});
  says([&] { gguf->get_int("huge"); }, {"huge", "integer"});
  says([&] { gguf->get_float("text"); }, {"text", "float"});
  says([&] { gguf->get_string("words"); }, {"words", "string array"});
  says([&] { gguf->get_ints("words"); }, {"words", "array of integers"});
  says([&] { gguf->get_strings("text"); }, {"text", "array of strings"});
  says([&] { gguf->get_bool_or("text", true); }, {"text", "bool"});
  says([&] { gguf->get_string("bytes"); }, {"bytes", "UTF-8"});
}

TEST_F(Gguf, heads_are_checked) {
  GgufBytes file;
  file.version = 1;
  expect_refused(file, {"version 1"});
  file.version = 0;
  expect_refused(file, {"version 0"});
  file.version = 0x03000000;
  expect_refused(file, {"byte order"});
  file.version = 3;
  file.entry_count = uint64_t{1} << 60;
  expect_refused(file, {"count"});
  file.entry_count = 0;
  file.tensor_count = uint64_t{1} << 60;
  expect_refused(file, {"count"});
}

TEST_F(Gguf, metadata_is_checked) {
  const auto refuse = [&](uint32_t type, const std::string& value, const std::vector<std::string>& mentions) {
    GgufBytes file;
    file.entry("some.key", type, value);
    expect_refused(file, mentions);
  };
  refuse(13, raw<uint64_t>(0), {"some.key", "type 13"});
  refuse(kBool, raw<uint8_t>(2), {"some.key", "bool"});
}

TEST_F(Gguf, arrays_are_bounded) {
  const auto refuse = [&](const std::string& value, const std::vector<std::string>& mentions) {
    GgufBytes file;
    file.entry("some.key", kArray, value);
    expect_refused(file, mentions);
  };
  refuse(raw(kU64) + raw(uint64_t{1} << 60), {"some.key", "array", "beyond"});
  refuse(raw(kU64) + raw((uint64_t{1} << 61) + 1) + raw<uint64_t>(0), {"some.key", "array", "beyond"});
  refuse(raw<uint32_t>(99) + raw<uint64_t>(0), {"some.key", "type 99"});
  std::string nested;
  for (int i = 0; i < 17; ++i) nested += raw(kArray) + raw<uint64_t>(1);
  refuse(nested + raw(kU32) + raw<uint64_t>(0), {"some.key", "nested"});
  refuse(raw<uint32_t>(0) + raw<uint64_t>((1 << 24) + 1) + std::string((1 << 24) + 1, 'x'), {"some.key", "too many"});
}

TEST_F(Gguf, sixteen_levels_of_arrays_are_read) {
  std::string nested;
  for (int i = 0; i < 15; ++i) nested += raw(kArray) + raw<uint64_t>(1);
  GgufBytes file;
  file.entry("k", kArray, nested + raw(kU32) + raw<uint64_t>(1) + raw<uint32_t>(5));
  EXPECT_TRUE(open(file)->has("k"));
}

TEST_F(Gguf, duplicates_and_bad_names_are_refused) {
  GgufBytes keys;
  keys.entry("k", kU32, raw<uint32_t>(1));
  keys.entry("k", kU32, raw<uint32_t>(1));
  expect_refused(keys, {"duplicate", "k"});
  GgufBytes bad_key;
  bad_key.entry("k\xFF", kU32, raw<uint32_t>(1));
  expect_refused(bad_key, {"UTF-8", "k?"});
  GgufBytes tensors;
  tensors.tensor("t", {0}, 0, 0);
  tensors.tensor("t", {0}, 0, 0);
  expect_refused(tensors, {"duplicate tensor t"});
  GgufBytes bad_name;
  bad_name.tensor("t\xFF", {0}, 0, 0);
  expect_refused(bad_name, {"UTF-8"});
}

TEST_F(Gguf, tensors_are_checked) {
  const auto refuse = [&](const std::vector<uint64_t>& dimensions, uint32_t type, uint64_t offset,
                          const std::vector<std::string>& mentions) {
    GgufBytes file;
    file.tensor("some.t", dimensions, type, offset);
    file.data = std::string(64, 'x');
    expect_refused(file, mentions);
  };
  refuse({1, 1, 1, 1, 1}, 0, 0, {"some.t", "dimensions"});
  refuse({uint64_t{1} << 63}, 0, 0, {"some.t", "dimension"});
  refuse({uint64_t{1} << 32, uint64_t{1} << 32}, 0, 0, {"some.t", "overflow"});
  refuse({uint64_t{1} << 62}, 0, 0, {"some.t", "overflow"});
  refuse({1}, 200, 0, {"some.t", "type 200"});
  refuse({1}, 4, 0, {"some.t", "type 4"});
  refuse({20}, 2, 0, {"some.t", "multiple of the block"});
  refuse({1}, 0, 4, {"some.t", "aligned"});
  refuse({17}, 0, 0, {"some.t", "beyond the end"});
  refuse({1}, 0, 96, {"some.t", "beyond the end"});
  refuse({8}, 0, UINT64_MAX - 31, {"some.t", "beyond the end"});
}

TEST_F(Gguf, overlap_is_refused_and_gaps_are_not) {
  GgufBytes file;
  file.tensor("a", {16}, 0, 0);
  file.tensor("b", {8}, 0, 32);
  file.data = std::string(64, 'x');
  expect_refused(file, {"a and b overlap"});
  GgufBytes gap;
  gap.tensor("a", {1}, 0, 64);
  gap.tensor("b", {8}, 0, 0);
  gap.data = std::string(68, 'x');
  EXPECT_EQ(open(gap)->tensors().size(), 2u);
}

TEST_F(Gguf, alignment_must_be_a_power_of_two) {
  const auto refuse = [&](uint32_t type, const std::string& value) {
    GgufBytes file;
    file.entry("general.alignment", type, value);
    expect_refused(file, {"general.alignment"});
  };
  refuse(kU32, raw<uint32_t>(0));
  refuse(kU32, raw<uint32_t>(12));
  refuse(kU64, raw<uint64_t>(32));
  refuse(kString, gguf_string("32"));
  GgufBytes file;
  file.alignment = 1;
  file.entry("general.alignment", kU32, raw<uint32_t>(1));
  file.tensor("a", {1}, 0, 0);
  file.data = raw(1.0f);
  EXPECT_EQ(open(file)->tensors()[0].bytes.size(), 4u);
}

TEST_F(Gguf, every_truncation_of_a_sound_file_is_refused) {
  GgufBytes file;
  file.entry("words", kArray, raw(kString) + raw<uint64_t>(2) + gguf_string("abc") + gguf_string("d"));
  file.tensor("t", {3}, 0, 0);
  file.data = std::string(12, 'x');
  const std::string bytes = file.bytes();
  for (size_t size = 0; size < bytes.size(); ++size) {
    test::write_file(path_, bytes.substr(0, size));
    EXPECT_NE(error_of([&] { GgufFile::open(path_); }), "no error") << size;
  }
}

}  // namespace
}  // namespace morex::io
