#include <gtest/gtest.h>

#include <vector>

#include "io/safetensors.h"
#include "support/paths.h"
#include "unit/io/io_test_support.h"

namespace morex::io {
namespace {
namespace fs = std::filesystem;
using test::error_of;

class SafetensorsFolderTest : public testing::Test {
 protected:
  void shard(const std::string& name, const std::vector<std::string>& tensors) {
    std::vector<TensorToWrite> list;
    for (const std::string& tensor : tensors)
      list.push_back({tensor, DType::kF32, {2}, std::as_bytes(std::span(values_))});
    write_safetensors(folder_ / name, list);
  }
  void index(const std::string& json) { test::write_file(folder_ / "model.safetensors.index.json", json); }
  void expect_refused(const std::vector<std::string>& mentions) {
    const std::string message = error_of([&] { SafetensorsFolder::open(folder_); });
    for (const std::string& mention : mentions)
      EXPECT_NE(message.find(mention), std::string::npos) << mention << ": " << message;
  }
  void expect_shard_name_refused(const std::string& name) {
    index(R"({"weight_map":{"a":")" + name + R"("}})");
    expect_refused({"model.safetensors.index.json", "same folder"});
  }

  const std::vector<float> values_ = {1, 2};
  fs::path folder_ = test::scratch_dir("folder");
};

TEST_F(SafetensorsFolderTest, one_file_or_shards) {
  shard("model-1.safetensors", {"a", "c"});
  shard("model-2.safetensors", {"b"});
  index(
      R"({"metadata":{"total_size":24},"weight_map":{"a":"model-1.safetensors","b":"model-2.safetensors","c":"model-1.safetensors"}})");
  const SafetensorsFolder sharded = SafetensorsFolder::open(folder_);
  EXPECT_EQ(sharded.names(), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(sharded.files().size(), 2u);
  ASSERT_NE(sharded.find("b"), nullptr);
  EXPECT_EQ(sharded.find("b")->file->path().filename(), "model-2.safetensors");
  EXPECT_EQ(sharded.find("d"), nullptr);

  shard("model.safetensors", {"z"});
  EXPECT_EQ(SafetensorsFolder::open(folder_).names(), (std::vector<std::string>{"z"}));
}

TEST_F(SafetensorsFolderTest, moving_keeps_the_index_valid) {
  shard("model.safetensors", {"a"});
  SafetensorsFolder first = SafetensorsFolder::open(folder_);
  const SafetensorsFolder second = std::move(first);
  EXPECT_EQ(second.find("a")->shape, (std::vector<int64_t>{2}));
}

TEST_F(SafetensorsFolderTest, missing_weights_are_explained) {
  expect_refused({folder_.string(), "model.safetensors"});
  test::write_file(folder_ / "pytorch_model.bin", "pickle");
  expect_refused({"pytorch_model.bin", "safetensors", "never opened"});
  folder_ /= "nothing";
  expect_refused({"nothing", "folder"});
}

TEST_F(SafetensorsFolderTest, shard_names_stay_in_the_folder) {
  for (const char* name : {"../x.safetensors", "/etc/x.safetensors", "sub/x.safetensors", "..\\\\x.safetensors", "",
                           ".", "..", "x\\u0000y.safetensors", "x.bin"})
    expect_shard_name_refused(name);
}

TEST_F(SafetensorsFolderTest, index_is_checked) {
  index("{");
  expect_refused({"model.safetensors.index.json", "JSON"});
  index("[]");
  expect_refused({"model.safetensors.index.json", "object"});
  index("{}");
  expect_refused({"model.safetensors.index.json", "weight_map"});
  index(R"({"weight_map":[]})");
  expect_refused({"model.safetensors.index.json", "weight_map", "array"});
  index(R"({"weight_map":{}})");
  expect_refused({"model.safetensors.index.json", "weight_map"});
  index(R"({"weight_map":{"a":1}})");
  expect_refused({"model.safetensors.index.json", "a", "string"});
}

TEST_F(SafetensorsFolderTest, index_and_shards_must_agree) {
  index(R"({"weight_map":{"a":"model-1.safetensors"}})");
  expect_refused({"model.safetensors.index.json", "model-1.safetensors"});
  shard("model-1.safetensors", {"b"});
  expect_refused({"tensor a", "model-1.safetensors", "does not hold"});
  shard("model-1.safetensors", {"a"});
  shard("model-2.safetensors", {"a"});
  index(R"({"weight_map":{"a":"model-1.safetensors","b":"model-2.safetensors"}})");
  expect_refused({"tensor a", "model-1.safetensors", "model-2.safetensors"});
  shard("model-2.safetensors", {"c"});
  expect_refused({"tensor b", "model-2.safetensors"});
}

}  // namespace
}  // namespace morex::io
