// Files that torch.save wrote (tests/golden/data/torch), and what is refused.
#include "io/torch_file.h"

#include <gtest/gtest.h>

#include "io/pickle.h"
#include "support/paths.h"
#include "unit/io/io_test_support.h"

namespace morex::io {
namespace {
namespace fs = std::filesystem;

fs::path folder() { return test::source_dir() / "tests/golden/data/torch"; }

std::string refusal(const std::string& name) {
  return test::error_of([&] { read_torch_file(folder() / name); });
}

TEST(TorchFile, Tensors_are_those_that_were_saved) {
  const std::vector<StoredTensor> read = read_torch_file(folder() / "plain.bin");
  const SafetensorsFile expected = SafetensorsFile::open(folder() / "plain.safetensors");
  ASSERT_EQ(read.size(), expected.tensors().size());
  EXPECT_EQ(read.front().name, "model.a.lora_A.weight");
  for (const StoredTensor& tensor : read) {
    const StoredTensor& other = expected.get(tensor.name);
    EXPECT_EQ(tensor.dtype, other.dtype) << tensor.name;
    EXPECT_EQ(tensor.shape, other.shape) << tensor.name;
    EXPECT_TRUE(std::equal(tensor.bytes.begin(), tensor.bytes.end(), other.bytes.begin(), other.bytes.end()))
        << tensor.name;
  }
}

TEST(TorchFile, A_modules_state_is_a_dictionary_too) {
  const std::vector<StoredTensor> read = read_torch_file(folder() / "state_dict.bin");
  ASSERT_EQ(read.size(), 2U);
  EXPECT_EQ(read[0].name, "weight");
  EXPECT_EQ(read[0].shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(read[1].shape, (std::vector<int64_t>{2}));
}

TEST(TorchFile, Everything_else_is_refused_by_name) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"old_format.bin", "before 1.6"},       {"transposed.bin", "w is a view with holes or of another order"},
      {"object.bin", "argparse.Namespace"},   {"list.bin", "instruction 0x5d"},
      {"nested.bin", "a is no plain tensor"}, {"plain.safetensors", "zip archive"},
  };
  for (const auto& [name, part] : cases) {
    const std::string said = refusal(name);
    EXPECT_NE(said.find(part), std::string::npos) << name << ": " << said;
    EXPECT_NE(said.find(name), std::string::npos) << said;
    EXPECT_EQ(said.find('\n'), std::string::npos) << said;
  }
  EXPECT_NE(refusal("old_format.bin").find("save_file"), std::string::npos);  // says how to convert it
}

TEST(TorchFile, Damaged_bytes_do_not_have_their_checksum) {
  std::string content = test::read_file(folder() / "plain.bin");
  const SafetensorsFile expected = SafetensorsFile::open(folder() / "plain.safetensors");
  const std::span<const std::byte> data = expected.get("model.a.lora_A.weight").bytes;
  const size_t place = content.find({reinterpret_cast<const char*>(data.data()), data.size()});
  ASSERT_NE(place, std::string::npos);
  content[place + 5] = static_cast<char>(content[place + 5] ^ 1);
  const fs::path path = test::scratch_dir("torch_file") / "damaged.bin";
  test::write_file(path, content);
  EXPECT_NE(test::error_of([&] { read_torch_file(path); }).find("checksum"), std::string::npos);
}

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

TEST(PickleFormat, Numbers_and_shared_values) {
  // (-2, 258, 70000, -70000, the same tuple of True) in protocol 2, the tuple kept and recalled.
  std::string text = "\x80\x02(";
  text += std::string("\x8a\x01\xfe", 3) + std::string("M\x02\x01", 3) + std::string("J\x70\x11\x01\x00", 5) +
          std::string("J\x90\xee\xfe\xff", 5) + "\x88\x85q\x01h\x01t.";
  const std::set<std::string> none;
  const Pickle pickle(bytes_of(text), none, "here");
  const PickleValue& top = pickle.top();
  ASSERT_EQ(top.kind, PickleValue::Kind::kTuple);
  ASSERT_EQ(top.items.size(), 6U);
  EXPECT_EQ(top.items[0]->number, -2);
  EXPECT_EQ(top.items[1]->number, 258);
  EXPECT_EQ(top.items[2]->number, 70000);
  EXPECT_EQ(top.items[3]->number, -70000);
  EXPECT_EQ(top.items[4], top.items[5]);
  EXPECT_EQ(top.items[4]->items[0]->number, 1);
}

TEST(PickleFormat, Broken_pickles_are_refused) {
  const std::set<std::string> names = {"a.b"};
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "ends in the middle"},
      {"\x80\x04N.", "protocol 2"},
      {"\x80\x02N", "ends in the middle"},
      {"\x80\x02.", "must leave one value"},
      {"\x80\x02NN.", "must leave one value"},
      {"\x80\x02t.", "a mark that is not there"},
      {"\x80\x02R.", "a value that is not there"},
      {"\x80\x02(R.", "a value that is not there"},
      {"\x80\x02h\x05.", "recalls what was never kept"},
      {"\x80\x02NNs.", "a value that is not there"},
      {"\x80\x02NNNs.", "holds none"},
      {"\x80\x02}(Nu.", "a key without a value"},
      {"\x80\x02)NR.", "calls what is no name"},
      {"\x80\x02"
       "cos\nsystem\n.",
       "os.system"},
      {"\x80\x02\x8a\x09"
       "123456789.",
       "too large"},
      {std::string("\x80\x02X\x01\x00\x00\x00\xff.", 9), "no UTF-8"},
  };
  for (const auto& [text, part] : cases) {
    const std::string said = test::error_of([&] { Pickle(bytes_of(text), names, "here"); });
    EXPECT_NE(said.find(part), std::string::npos) << said;
  }
}

}  // namespace
}  // namespace morex::io
