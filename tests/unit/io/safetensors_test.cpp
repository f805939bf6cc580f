#include "io/safetensors.h"

#include <gtest/gtest.h>

#include <vector>

#include "io/text_check.h"
#include "support/paths.h"
#include "unit/io/io_test_support.h"

namespace morex::io {
namespace {
namespace fs = std::filesystem;
using test::error_of;
using test::safetensors_bytes;
using testing::Test;

template <typename T>
std::span<const std::byte> bytes_of(const std::vector<T>& values) {
  return std::as_bytes(std::span(values));
}

class Safetensors : public Test {
 protected:
  // What opening a file with this content says.
  std::string open_error(std::string_view content) {
    test::write_file(path_, content);
    return error_of([&] { SafetensorsFile::open(path_); });
  }
  void expect_refused(std::string_view content, const std::vector<std::string>& mentions) {
    const std::string message = open_error(content);
    EXPECT_NE(message.find("model.safetensors]"), std::string::npos) << message;
    for (const std::string& mention : mentions)
      EXPECT_NE(message.find(mention), std::string::npos) << mention << ": " << message;
    EXPECT_EQ(message.find('\n'), std::string::npos);
    EXPECT_TRUE(is_utf8(message));
  }
  void expect_header_refused(std::string_view header, const std::vector<std::string>& mentions, size_t data_size = 8) {
    expect_refused(safetensors_bytes(header, std::string(data_size, 'd')), mentions);
  }

  fs::path path_ = test::scratch_dir("safetensors") / "model.safetensors";
};

TEST_F(Safetensors, written_tensors_come_back) {
  const std::vector<float> a = {1.5f, -2.0f, 0.0f, 3.0f, 4.0f, 5.0f};
  const std::vector<int64_t> b = {7};
  const std::vector<uint8_t> c = {1, 2, 3};
  write_safetensors(path_,
                    {{"c", DType::kU8, {3}, bytes_of(c)},
                     {"b.ü\"", DType::kI64, {}, bytes_of(b)},
                     {"a", DType::kF32, {2, 3}, bytes_of(a)},
                     {"empty", DType::kF32, {0, 4}, {}}},
                    {{"format", "pt"}, {"note", "grüße\n"}});
  const SafetensorsFile file = SafetensorsFile::open(path_);
  ASSERT_EQ(file.tensors().size(), 4u);
  EXPECT_EQ(file.tensors()[0].name, "b.ü\"");  // the widest type first
  EXPECT_TRUE(file.tensors()[0].shape.empty());
  EXPECT_EQ(file.get("a").shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(file.get("a").dtype, DType::kF32);
  EXPECT_EQ(std::memcmp(file.get("a").bytes.data(), a.data(), sizeof(float) * a.size()), 0);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(file.tensors()[0].bytes.data()) % 8, 0u);
  EXPECT_TRUE(file.get("empty").bytes.empty());
  EXPECT_EQ(file.metadata().at("note"), "grüße\n");
  EXPECT_EQ(file.find("x"), nullptr);
  EXPECT_NE(error_of([&] { file.get("x"); }).find("no tensor x"), std::string::npos);
}

TEST_F(Safetensors, equal_content_gives_equal_files) {
  const std::vector<float> a = {1, 2};
  const auto write = [&](bool reversed) {
    std::vector<TensorToWrite> tensors = {{"x", DType::kF32, {2}, bytes_of(a)}, {"y", DType::kF32, {2}, bytes_of(a)}};
    if (reversed) std::swap(tensors[0], tensors[1]);
    write_safetensors(path_, tensors);
    return test::read_file(path_);
  };
  const std::string first = write(false);
  EXPECT_EQ(first, write(true));
  EXPECT_EQ(first.substr(8, 1), "{");
  EXPECT_EQ(first.find("__metadata__"), std::string::npos);
}

TEST_F(Safetensors, a_failed_write_keeps_the_old_file) {
  test::write_file(path_, "old");
  const fs::path folder = path_.parent_path() / "missing";
  const std::string message = error_of([&] { write_safetensors(folder / "x.safetensors", {}); });
  EXPECT_NE(message.find("cannot be written"), std::string::npos) << message;
  EXPECT_EQ(test::read_file(path_), "old");
}

TEST_F(Safetensors, an_empty_set_of_tensors_is_a_file) {
  write_safetensors(path_, {});
  EXPECT_TRUE(SafetensorsFile::open(path_).tensors().empty());
}

TEST_F(Safetensors, unaligned_data_is_accepted) {
  EXPECT_EQ(open_error(safetensors_bytes(R"({"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}} )", "abc")),
            "no error");
}

TEST_F(Safetensors, missing_file_is_named) {
  EXPECT_NE(error_of([&] { SafetensorsFile::open(path_); }).find("model.safetensors"), std::string::npos);
}

TEST_F(Safetensors, header_length_is_checked) {
  expect_refused("", {"header", "0 bytes"});
  expect_refused("1234567", {"header", "7 bytes"});
  expect_refused(test::raw<uint64_t>(1000000) + "{}", {"header", "beyond the end"});
  expect_refused(test::raw<uint64_t>(3) + "{}", {"header", "beyond the end"});
  expect_refused(test::raw<uint64_t>(UINT64_MAX - 7) + "{}", {"header", "at most"});
}

TEST_F(Safetensors, header_must_be_one_json_object) {
  expect_header_refused("", {"header", "JSON"}, 0);
  expect_header_refused("{nope", {"header", "JSON"}, 0);
  expect_header_refused("{} {}", {"header", "JSON"}, 0);
  expect_header_refused("[]", {"header", "object"}, 0);
  expect_header_refused("3", {"header", "object"}, 0);
  expect_header_refused("{\"a\xFF\":{}}", {"header", "UTF-8"}, 0);
}

TEST_F(Safetensors, deep_nesting_is_refused_at_once) {
  const std::string open(5'000'000, '[');
  expect_header_refused(open, {"header"}, 0);
  expect_header_refused("{\"a\":" + open, {"header", "a", "object"}, 0);
  expect_header_refused("{\"a\":{\"shape\":" + open, {"tensor a", "shape"}, 0);
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  expect_header_refused(objects, {"header"}, 0);
}

TEST_F(Safetensors, duplicates_are_refused) {
  const std::string a = R"("a.b":{"dtype":"U8","shape":[8],"data_offsets":[0,8]})";
  expect_header_refused("{" + a + "," + a + "}", {"a.b", "twice"});
  expect_header_refused(R"({"a":{"dtype":"U8","dtype":"U8","shape":[8],"data_offsets":[0,8]}})",
                        {"tensor a", "dtype", "once"});
  expect_header_refused(R"({"__metadata__":{"k":"1","k":"2"}})", {"__metadata__", "k", "twice"}, 0);
  expect_header_refused(R"({"__metadata__":{},"__metadata__":{}})", {"__metadata__", "twice"}, 0);
}

TEST_F(Safetensors, entries_are_checked) {
  expect_header_refused(R"({"a":[]})", {"a", "object"});
  expect_header_refused(R"({"__metadata__":{"k":1}})", {"__metadata__.k", "string"});
  expect_header_refused(R"({"a":{"shape":[8],"data_offsets":[0,8]}})", {"tensor a", "dtype"});
  expect_header_refused(R"({"a":{"dtype":"U8","data_offsets":[0,8]}})", {"tensor a", "shape"});
  expect_header_refused(R"({"a":{"dtype":"U8","shape":[8]}})", {"tensor a", "data_offsets"});
  expect_header_refused(R"({"a":{"dtype":"F33","shape":[8],"data_offsets":[0,8]}})", {"tensor a", "F33"});
  expect_header_refused(R"({"a":{"dtype":"F8_E4M3","shape":[8],"data_offsets":[0,8]}})", {"tensor a", "F8_E4M3"});
  expect_header_refused(R"({"a":{"dtype":8,"shape":[8],"data_offsets":[0,8]}})", {"tensor a", "dtype", "string"});
  expect_header_refused(R"({"a":{"dtype":"U8","shape":8,"data_offsets":[0,8]}})", {"tensor a", "shape", "list"});
  expect_header_refused(R"({"a":{"dtype":"U8","shape":[-8],"data_offsets":[0,8]}})", {"tensor a", "shape", "negative"});
  expect_header_refused(R"({"a":{"dtype":"U8","shape":[8.0],"data_offsets":[0,8]}})",
                        {"tensor a", "shape", "fraction"});
  expect_header_refused(R"({"a":{"dtype":"U8","shape":["8"],"data_offsets":[0,8]}})", {"tensor a", "shape", "string"});
  expect_header_refused(R"({"a":{"dtype":"U8","shape":[null],"data_offsets":[0,8]}})", {"tensor a", "shape", "null"});
  expect_header_refused(R"({"a":{"dtype":"U8","shape":[8],"data_offsets":[0]}})", {"tensor a", "data_offsets"});
  expect_header_refused(R"({"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8,9]}})", {"tensor a", "data_offsets"});
  expect_header_refused(R"({"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8],"x":1}})", {"tensor a", "'x'"});
}

TEST_F(Safetensors, sizes_and_overflow_are_checked) {
  expect_header_refused(R"({"a":{"dtype":"F32","shape":[8],"data_offsets":[0,8]}})", {"tensor a", "32 bytes", "8"});
  expect_header_refused(R"({"a":{"dtype":"U8","shape":[8],"data_offsets":[8,0]}})", {"tensor a", "[8, 0]"});
  expect_header_refused(R"({"a":{"dtype":"U8","shape":[9],"data_offsets":[0,9]}})", {"tensor a", "beyond the end"});
  expect_header_refused(R"({"a":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0]}})",
                        {"tensor a", "overflow"});
  expect_header_refused(R"({"a":{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0]}})",
                        {"tensor a", "overflow"});
  expect_header_refused(R"({"a":{"dtype":"U8","shape":[9223372036854775808],"data_offsets":[0,0]}})",
                        {"tensor a", "63 bits"});
  expect_header_refused(
      R"({"a":{"dtype":"U8","shape":[8],"data_offsets":[18446744073709551608,18446744073709551616]}})",
      {"tensor a", "data_offsets"});
  expect_header_refused(
      R"({"a":{"dtype":"U8","shape":[8],"data_offsets":[18446744073709551600,18446744073709551608]}})",
      {"tensor a", "beyond"});
}

TEST_F(Safetensors, tensors_must_cover_the_data) {
  expect_header_refused(
      R"({"a":{"dtype":"U8","shape":[6],"data_offsets":[0,6]},"b":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})",
      {"tensor b", "overlaps tensor a"});
  expect_header_refused(
      R"({"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}})",
      {"overlaps"});
  expect_header_refused(
      R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})",
      {"tensor b", "2 to 4"});
  expect_header_refused(R"({"a":{"dtype":"U8","shape":[7],"data_offsets":[1,8]}})", {"tensor a", "0 to 1"});
  expect_header_refused(R"({"a":{"dtype":"U8","shape":[7],"data_offsets":[0,7]}})", {"1 bytes at the end"});
  expect_header_refused("{}", {"8 bytes at the end"});
}

TEST_F(Safetensors, long_names_do_not_flood_the_message) {
  const std::string name(100'000, 'n');
  const std::string message = open_error(safetensors_bytes("{\"" + name + "\":{\"dtype\":\"F33\"}}", ""));
  EXPECT_LT(message.size(), 500u);
}

}  // namespace
}  // namespace morex::io
