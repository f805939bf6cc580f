#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "io/safetensors.h"
#include "io/text_check.h"
#include "support/paths.h"
#include "unit/io/io_test_support.h"

namespace morex::io {
namespace {
namespace fs = std::filesystem;

struct Drawn {
  std::vector<TensorToWrite> tensors;
  std::vector<std::string> storage;  // bytes of each tensor
  std::map<std::string, std::string> metadata;
};

Drawn draw() {
  static constexpr DType kDTypes[] = {DType::kF64, DType::kF32, DType::kF16, DType::kBF16,
                                      DType::kI64, DType::kU8,  DType::kBool};
  Drawn drawn;
  const auto names = *rc::gen::unique<std::vector<std::string>>(
      rc::gen::nonEmpty(rc::gen::container<std::string>(rc::gen::inRange('!', '~'))));
  drawn.storage.reserve(names.size());
  for (const std::string& name : names) {
    TensorToWrite tensor;
    tensor.name = name;
    tensor.dtype = kDTypes[*rc::gen::inRange<size_t>(0, std::size(kDTypes))];
    tensor.shape = *rc::gen::resize(3, rc::gen::container<std::vector<int64_t>>(rc::gen::inRange<int64_t>(0, 4)));
    int64_t size = element_size(tensor.dtype);
    for (const int64_t dimension : tensor.shape) size *= dimension;
    drawn.storage.push_back(*rc::gen::container<std::string>(static_cast<size_t>(size), rc::gen::arbitrary<char>()));
    tensor.bytes = std::as_bytes(std::span(drawn.storage.back().data(), drawn.storage.back().size()));
    drawn.tensors.push_back(std::move(tensor));
  }
  for (const std::string& name : names)
    if (*rc::gen::arbitrary<bool>()) drawn.metadata[name] = name;
  return drawn;
}

const fs::path& scratch_file() {
  static const fs::path path = test::scratch_dir("safetensors_property") / "model.safetensors";
  return path;
}

TEST(SafetensorsProperty, what_is_written_is_read) {
  const bool holds = rc::check([] {
    const Drawn drawn = draw();
    write_safetensors(scratch_file(), drawn.tensors, drawn.metadata);
    const SafetensorsFile file = SafetensorsFile::open(scratch_file());
    RC_ASSERT(file.tensors().size() == drawn.tensors.size());
    RC_ASSERT(file.metadata() == drawn.metadata);
    for (const TensorToWrite& tensor : drawn.tensors) {
      const StoredTensor& read = file.get(tensor.name);
      RC_ASSERT(read.dtype == tensor.dtype);
      RC_ASSERT(read.shape == tensor.shape);
      RC_ASSERT(std::equal(read.bytes.begin(), read.bytes.end(), tensor.bytes.begin(), tensor.bytes.end()));
    }
  });
  EXPECT_TRUE(holds);
}

// Opening the file either works, with every tensor inside the map, or throws an Error whose message names the file.
void open_or_refuse(const std::string& content) {
  test::write_file(scratch_file(), content);
  try {
    const SafetensorsFile file = SafetensorsFile::open(scratch_file());
    size_t sum = 0;
    for (const StoredTensor& tensor : file.tensors())
      for (const std::byte byte : tensor.bytes) sum += static_cast<size_t>(byte);
    RC_ASSERT(sum <= content.size() * 255);
  } catch (const Error& error) {
    const std::string message = error.what();
    RC_ASSERT(error.kind() == ErrorKind::kFormat);
    RC_ASSERT(message.find("model.safetensors") != std::string::npos);
    RC_ASSERT(is_utf8(message));
  }
}

TEST(SafetensorsProperty, mutated_files_never_crash) {
  const bool holds = rc::check([] {
    const Drawn drawn = draw();
    write_safetensors(scratch_file(), drawn.tensors, drawn.metadata);
    std::string content = test::read_file(scratch_file());
    const auto count = *rc::gen::inRange(1, 6);
    for (int i = 0; i < count; ++i) {
      const auto at = *rc::gen::inRange<size_t>(0, content.size());
      switch (*rc::gen::inRange(0, 3)) {
        case 0:
          content[at] = *rc::gen::arbitrary<char>();
          break;
        case 1:
          content.insert(at, 1, *rc::gen::element('{', '}', '[', ']', ',', ':', '"', '0', '9', '\\'));
          break;
        default:
          content.erase(at, 1);
      }
    }
    open_or_refuse(content);
  });
  EXPECT_TRUE(holds);
}

TEST(SafetensorsProperty, truncated_files_are_refused) {
  const bool holds = rc::check([] {
    const Drawn drawn = draw();
    write_safetensors(scratch_file(), drawn.tensors, drawn.metadata);
    const std::string content = test::read_file(scratch_file());
    test::write_file(scratch_file(), content.substr(0, *rc::gen::inRange<size_t>(0, content.size())));
    RC_ASSERT_THROWS_AS(SafetensorsFile::open(scratch_file()), Error);
  });
  EXPECT_TRUE(holds);
}

}  // namespace
}  // namespace morex::io
