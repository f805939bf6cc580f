// golden/gguf: types, metadata and layouts against what their makers wrote down.
#include <gtest/gtest.h>

#include <bit>
#include <chrono>
#include <cmath>
#include <cstring>

#include "base/json.h"
#include "io/gguf.h"
#include "io/safetensors.h"
#include "support/paths.h"
#include "unit/io/io_test_support.h"

namespace morex::io {
namespace {
namespace fs = std::filesystem;

fs::path folder() { return test::golden_dir() / "gguf"; }

#define MOREX_NEED_GOLDEN(path) \
  if (!fs::exists(path)) GTEST_SKIP() << "not there: " << (path)

std::vector<float> numbers(const GgufTensor& tensor) {
  const size_t count =
      tensor.bytes.size() / static_cast<size_t>(tensor.type.block_bytes) * static_cast<size_t>(tensor.type.block);
  std::vector<float> out(count);
  dequantize(tensor.type, tensor.bytes, out, tensor.name);
  return out;
}

// Bit for bit, whatever the dtype.
void expect_equal(const GgufTensor& tensor, const StoredTensor& expected) {
  EXPECT_EQ(tensor.shape, expected.shape) << tensor.name;
  if (!tensor.type.dequantizable) {
    ASSERT_EQ(tensor.bytes.size(), expected.bytes.size()) << tensor.name;
    EXPECT_EQ(std::memcmp(tensor.bytes.data(), expected.bytes.data(), expected.bytes.size()), 0) << tensor.name;
    return;
  }
  ASSERT_EQ(expected.dtype, DType::kF32) << tensor.name;
  const std::vector<float> out = numbers(tensor);
  ASSERT_EQ(out.size() * sizeof(float), expected.bytes.size()) << tensor.name;
  for (size_t i = 0; i < out.size(); ++i) {
    uint32_t want;
    std::memcpy(&want, expected.bytes.data() + 4 * i, 4);
    ASSERT_EQ(std::bit_cast<uint32_t>(out[i]), want) << tensor.name << "[" << i << "]";
  }
}

bool is_stored_as_is(const GgmlType& type) {
  return std::string_view("I8 I16 I32 I64 F64").find(type.name) != std::string_view::npos;
}

class GgufTypes : public testing::TestWithParam<std::string> {};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(GgufTypes);

// Every FILE.gguf with a FILE.safetensors beside it: each tensor is bit-exact, or refused by its type's name.
TEST_P(GgufTypes, match_their_expected_values) {
  const fs::path expected_path = folder() / (GetParam() + ".safetensors");
  const auto file = GgufFile::open(folder() / (GetParam() + ".gguf"));
  const SafetensorsFile expected = SafetensorsFile::open(expected_path);
  ASSERT_FALSE(file->tensors().empty());
  for (const GgufTensor& tensor : file->tensors()) {
    if (tensor.type.dequantizable || is_stored_as_is(tensor.type)) {
      expect_equal(tensor, expected.get(tensor.name));
      continue;
    }
    const std::string message = test::error_of([&] { numbers(tensor); });
    EXPECT_NE(message.find(tensor.type.name), std::string::npos) << message;
  }
}

std::vector<std::string> files_with_expected_values() {
  std::vector<std::string> names;
  for (const std::string& name : test::golden_cases("gguf", ".gguf"))
    if (fs::exists(folder() / (name + ".safetensors"))) names.push_back(name);
  return names;
}

std::string test_name(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  return name;
}
INSTANTIATE_TEST_SUITE_P(Golden, GgufTypes, testing::ValuesIn(files_with_expected_values()), test_name);

TEST(GgufGolden, has_cases) {
  MOREX_NEED_GOLDEN(folder() / "types.json");
  EXPECT_FALSE(files_with_expected_values().empty());
}

TEST(GgufGolden, type_table_matches) {
  const fs::path path = folder() / "types.json";
  MOREX_NEED_GOLDEN(path);
  const Json types = read_json_file(path);
  int64_t compared = 0;
  for (const auto& [file_name, list] : types.items()) {
    const auto file = GgufFile::open(folder() / (file_name + ".gguf"));
    for (const Json& entry : list) {
      const GgufTensor* tensor = file->find(entry.at("name").get<std::string>());
      ASSERT_NE(tensor, nullptr) << entry;
      EXPECT_EQ(tensor->type.name, entry.at("ggml_type").get<std::string>());
      EXPECT_EQ(tensor->type.number, entry.at("type_id").get<uint32_t>());
      EXPECT_EQ(tensor->shape, entry.at("shape_row_major").get<std::vector<int64_t>>());
      EXPECT_EQ(tensor->bytes.size(), entry.at("bytes").get<size_t>()) << entry;
      ++compared;
    }
  }
  EXPECT_GT(compared, 0);
}

// All the layouts hold the same three small tensors.
class GgufLayout : public testing::TestWithParam<std::string> {};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(GgufLayout);

TEST_P(GgufLayout, holds_the_small_tensors) {
  const auto file = GgufFile::open(folder() / (GetParam() + ".gguf"));
  const SafetensorsFile expected = SafetensorsFile::open(folder() / "small.safetensors");
  for (const StoredTensor& tensor : expected.tensors()) {
    const GgufTensor* found = file->find(tensor.name);
    ASSERT_NE(found, nullptr) << tensor.name;
    expect_equal(*found, tensor);
  }
}

std::vector<std::string> layout_files() {
  std::vector<std::string> names;
  for (const std::string& name : test::golden_cases("gguf", ".gguf"))
    if (name.starts_with("align") || name.starts_with("version") || name.starts_with("data_") ||
        name.find("trailing") != std::string::npos)
      names.push_back(name);
  return names;
}
INSTANTIATE_TEST_SUITE_P(Golden, GgufLayout, testing::ValuesIn(layout_files()), test_name);

TEST(GgufGolden, empty_files_open) {
  for (const char* name : {"empty.gguf", "empty_24_bytes.gguf"}) {
    MOREX_NEED_GOLDEN(folder() / name);
    const auto file = GgufFile::open(folder() / name);
    EXPECT_TRUE(file->tensors().empty());
    EXPECT_TRUE(file->metadata().empty());
    EXPECT_NE(
        test::error_of([&] { file->get_string("general.architecture"); }).find("missing key general.architecture"),
        std::string::npos);
  }
}

void expect_value(const GgufValue& value, const std::string& type, const Json& expected);

void expect_array(const GgufArray& array, const Json& expected) {
  const std::string type = expected.at("element_type");
  const Json& values = expected.at("values");
  ASSERT_EQ(array.values.size(), values.size());
  for (size_t i = 0; i < values.size(); ++i) expect_value(array.values[i], type, values[i]);
}

void expect_value(const GgufValue& value, const std::string& type, const Json& expected) {
  if (type == "u8")
    EXPECT_EQ(std::get<uint8_t>(value), expected.get<uint8_t>());
  else if (type == "i8")
    EXPECT_EQ(std::get<int8_t>(value), expected.get<int8_t>());
  else if (type == "u16")
    EXPECT_EQ(std::get<uint16_t>(value), expected.get<uint16_t>());
  else if (type == "i16")
    EXPECT_EQ(std::get<int16_t>(value), expected.get<int16_t>());
  else if (type == "u32")
    EXPECT_EQ(std::get<uint32_t>(value), expected.get<uint32_t>());
  else if (type == "i32")
    EXPECT_EQ(std::get<int32_t>(value), expected.get<int32_t>());
  else if (type == "f32")
    EXPECT_EQ(static_cast<double>(std::get<float>(value)), expected.get<double>());
  else if (type == "f64")
    EXPECT_EQ(std::get<double>(value), expected.get<double>());
  else if (type == "bool")
    EXPECT_EQ(std::get<bool>(value), expected.get<bool>());
  else if (type == "string")
    EXPECT_EQ(std::get<std::string>(value), expected.get<std::string>());
  else if (type == "u64")
    EXPECT_EQ(std::to_string(std::get<uint64_t>(value)), expected.get<std::string>());
  else if (type == "i64")
    EXPECT_EQ(std::to_string(std::get<int64_t>(value)), expected.get<std::string>());
  else if (type == "array")
    expect_array(*std::get<std::shared_ptr<GgufArray>>(value), expected);
  else
    ADD_FAILURE() << "unknown type in the golden: " << type;
}

TEST(GgufGolden, metadata_of_every_kind) {
  const fs::path path = folder() / "metadata.json";
  MOREX_NEED_GOLDEN(path);
  const Json entries = read_json_file(path);
  const auto file = GgufFile::open(folder() / "metadata.gguf");
  ASSERT_FALSE(entries.empty());
  EXPECT_EQ(file->metadata().size(), entries.size());
  for (const Json& entry : entries) {
    const std::string key = entry.at("key");
    SCOPED_TRACE(key);
    const auto found = file->metadata().find(key);
    ASSERT_NE(found, file->metadata().end());
    expect_value(found->second, entry.at("type"), entry.at("value"));
  }
}

TEST(GgufGolden, the_real_base_dequantizes_in_half_a_second) {
  if (!fs::exists(test::smollm2_gguf())) GTEST_SKIP() << "not there: " << test::smollm2_gguf();
#ifdef MOREX_SANITIZE
  GTEST_SKIP() << "timings mean nothing under the sanitizers";
#endif
  const auto file = GgufFile::open(test::smollm2_gguf());
  std::vector<float> out;
  double seconds = 0;
  int64_t weights = 0;
  for (const GgufTensor& tensor : file->tensors()) {
    int64_t count = 1;
    for (const int64_t dimension : tensor.shape) count *= dimension;
    weights += count;
    out.resize(std::max(out.size(), static_cast<size_t>(count)));
    const auto start = std::chrono::steady_clock::now();
    dequantize(tensor.type, tensor.bytes, std::span(out).first(static_cast<size_t>(count)), tensor.name);
    seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  EXPECT_EQ(weights, 134515008);
  EXPECT_LT(seconds, 2.0);  // about 0.2 s on an idle core: room for a busy machine
  RecordProperty("seconds", std::to_string(seconds));
  printf("%.3f s for %lld weights\n", seconds, static_cast<long long>(weights));
}

}  // namespace
}  // namespace morex::io
