#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "io/pickle.h"
#include "io/text_check.h"
#include "io/torch_file.h"
#include "support/paths.h"
#include "unit/io/io_test_support.h"

namespace morex::io {
namespace {
namespace fs = std::filesystem;

const fs::path& scratch_file() {
  static const fs::path path = test::scratch_dir("torch_file_property") / "adapter_model.bin";
  return path;
}

// Reading either works, with every tensor inside the map, or throws an Error whose message names the file.
void read_or_refuse(const std::string& content) {
  test::write_file(scratch_file(), content);
  try {
    size_t sum = 0;
    for (const StoredTensor& tensor : read_torch_file(scratch_file())) {
      uint64_t size = static_cast<uint64_t>(element_size(tensor.dtype));
      for (const int64_t extent : tensor.shape) size *= static_cast<uint64_t>(extent);
      RC_ASSERT(size == tensor.bytes.size());
      for (const std::byte byte : tensor.bytes) sum += static_cast<size_t>(byte);
    }
    RC_ASSERT(sum <= content.size() * 255 * 64);  // tensors may share bytes
  } catch (const Error& error) {
    const std::string message = error.what();
    RC_ASSERT(error.kind() == ErrorKind::kFormat);
    RC_ASSERT(message.find("adapter_model.bin") != std::string::npos);
    RC_ASSERT(is_utf8(message));
  }
}

uint32_t crc32(std::string_view bytes) {
  uint32_t crc = 0xFFFFFFFFU;
  for (const char c : bytes) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1U) != 0 ? 0xEDB88320U : 0U);
  }
  return ~crc;
}

// A zip archive of stored entries with right checksums: mutations of the pickle reach the machine.
std::string zip_of(const std::vector<std::pair<std::string, std::string>>& entries) {
  std::string file, directory;
  for (const auto& [name, content] : entries) {
    const auto size = static_cast<uint32_t>(content.size());
    const std::string middle = test::raw<uint16_t>(0) + test::raw<uint16_t>(0) + test::raw<uint32_t>(0) +
                               test::raw(crc32(content)) + test::raw(size) + test::raw(size) +
                               test::raw(static_cast<uint16_t>(name.size())) + test::raw<uint16_t>(0);
    directory += "PK\x01\x02" + test::raw<uint16_t>(20) + test::raw<uint16_t>(20) + middle + test::raw<uint16_t>(0) +
                 test::raw<uint16_t>(0) + test::raw<uint16_t>(0) + test::raw<uint32_t>(0) +
                 test::raw(static_cast<uint32_t>(file.size())) + name;
    file += "PK\x03\x04" + test::raw<uint16_t>(20) + middle + name + content;
  }
  const auto count = static_cast<uint16_t>(entries.size());
  return file + directory + "PK\x05\x06" + test::raw<uint32_t>(0) + test::raw(count) + test::raw(count) +
         test::raw(static_cast<uint32_t>(directory.size())) + test::raw(static_cast<uint32_t>(file.size())) +
         test::raw<uint16_t>(0);
}

std::string mutated(std::string content) {
  const auto count = *rc::gen::inRange(1, 6);
  for (int i = 0; i < count && !content.empty(); ++i) {
    const auto at = *rc::gen::inRange<size_t>(0, content.size());
    switch (*rc::gen::inRange(0, 3)) {
      case 0:
        content[at] = *rc::gen::arbitrary<char>();
        break;
      case 1:
        content.insert(at, 1, *rc::gen::element('(', ')', '}', 't', 'R', 'Q', 's', 'u', 'b', '.', 'N', '\x85', '\x8a'));
        break;
      default:
        content.erase(at, 1 + *rc::gen::inRange<size_t>(0, 3));
    }
  }
  return content;
}

std::string sound_file() { return test::read_file(test::source_dir() / "tests/golden/data/torch/plain.bin"); }

TEST(TorchFileProperty, mutated_files_never_crash) {
  const std::string sound = sound_file();
  EXPECT_TRUE(rc::check([&] { read_or_refuse(mutated(sound)); }));
}

TEST(TorchFileProperty, truncated_files_are_refused) {
  const std::string sound = sound_file();
  EXPECT_TRUE(rc::check([&] {
    test::write_file(scratch_file(), sound.substr(0, *rc::gen::inRange<size_t>(0, sound.size())));
    RC_ASSERT_THROWS_AS(read_torch_file(scratch_file()), Error);
  }));
}

// The pickle of a tensor of four floats at offset 1 of five, written by hand.
std::string tensor_pickle() {
  const auto text = [](std::string_view value) {
    return "X" + test::raw(static_cast<uint32_t>(value.size())) + std::string(value);
  };
  return "\x80\x02}" + text("w") + "ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") +
         "ctorch\nFloatStorage\n" + text("0") + text("cpu") + "K\x05tQK\x01K\x02K\x02\x86K\x02K\x01\x86\x89" +
         "ccollections\nOrderedDict\n)RtRs.";
}

TEST(TorchFileProperty, a_pickle_written_by_hand_is_read) {
  const std::string data(20, '\x3f');
  test::write_file(scratch_file(), zip_of({{"a/data.pkl", tensor_pickle()}, {"a/data/0", data}}));
  const std::vector<StoredTensor> read = read_torch_file(scratch_file());
  ASSERT_EQ(read.size(), 1U);
  EXPECT_EQ(read[0].name, "w");
  EXPECT_EQ(read[0].shape, (std::vector<int64_t>{2, 2}));
  EXPECT_EQ(read[0].bytes.size(), 16U);
}

TEST(TorchFileProperty, mutated_pickles_never_crash) {
  const std::string data(20, '\x3f');
  EXPECT_TRUE(rc::check([&] {
    read_or_refuse(zip_of({{"a/data.pkl", mutated(tensor_pickle())}, {"a/data/0", data}}));
  }));
}

TEST(TorchFileProperty, random_pickles_never_crash) {
  const std::set<std::string> names = {"a.b"};
  EXPECT_TRUE(rc::check([&] {
    const auto code = rc::gen::element('(', ')', '}', 't', 'R', 'Q', 's', 'u', 'b', '.', 'N', 'K', 'q', 'h', '\x85',
                                       '\x86', '\x87', '\x88', '\x8a', '\x01', '\x02');
    const std::string text = "\x80\x02" + *rc::gen::container<std::string>(code);
    try {
      const Pickle pickle(std::as_bytes(std::span(text)), names, "here");
    } catch (const Error& error) {
      RC_ASSERT(error.kind() == ErrorKind::kFormat);
    }
  }));
}

}  // namespace
}  // namespace morex::io
