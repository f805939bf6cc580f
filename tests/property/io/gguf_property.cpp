#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "io/gguf.h"
#include "io/text_check.h"
#include "support/paths.h"
#include "unit/io/io_test_support.h"

namespace morex::io {
namespace {
namespace fs = std::filesystem;
using test::gguf_string;
using test::GgufBytes;
using test::raw;

const fs::path& scratch_file() {
  static const fs::path path = test::scratch_dir("gguf_property") / "model.gguf";
  return path;
}

// A sound file with every kind of content.
std::string sound_file() {
  GgufBytes file;
  file.entry("general.architecture", 8, gguf_string("llama"));
  file.entry("general.alignment", 4, raw<uint32_t>(32));
  file.entry("a.f32", 6, raw(0.5f));
  file.entry("a.flag", 7, raw<uint8_t>(1));
  file.entry("a.words", 9,
             raw<uint32_t>(8) + raw<uint64_t>(3) + gguf_string("x") + gguf_string("yz") + gguf_string(""));
  file.entry("a.nested", 9,
             raw<uint32_t>(9) + raw<uint64_t>(2) + raw<uint32_t>(0) + raw<uint64_t>(2) + "ab" + raw<uint32_t>(10) +
                 raw<uint64_t>(0));
  file.tensor("q", {32, 2}, 3, 0);
  file.tensor("f", {4}, 0, 64);
  file.data = std::string(80, 'x');
  return file.bytes();
}

void open_or_refuse(const std::string& content) {
  test::write_file(scratch_file(), content);
  try {
    const auto file = GgufFile::open(scratch_file());
    std::vector<float> out(1 << 16);
    for (const GgufTensor& tensor : file->tensors()) {
      const size_t count =
          tensor.bytes.size() / static_cast<size_t>(tensor.type.block_bytes) * static_cast<size_t>(tensor.type.block);
      if (tensor.type.dequantizable && count <= out.size())
        dequantize(tensor.type, tensor.bytes, std::span(out).first(count), "x");
    }
  } catch (const Error& error) {
    const std::string message = error.what();
    RC_ASSERT(error.kind() == ErrorKind::kFormat);
    RC_ASSERT(message.find("model.gguf") != std::string::npos);
    RC_ASSERT(is_utf8(message));
  }
}

TEST(GgufProperty, mutated_files_never_crash) {
  const std::string sound = sound_file();
  const bool holds = rc::check([&] {
    std::string content = sound;
    const auto count = *rc::gen::inRange(1, 5);
    for (int i = 0; i < count; ++i) {
      const auto at = *rc::gen::inRange<size_t>(0, content.size());
      switch (*rc::gen::inRange(0, 4)) {
        case 0:
          content[at] = *rc::gen::arbitrary<char>();
          break;
        case 1: {  // a whole 64-bit number, near the borders where sums and products wrap
          const uint64_t number = (uint64_t{1} << *rc::gen::inRange(0, 64)) - *rc::gen::inRange<uint64_t>(0, 3);
          if (at + 8 <= content.size()) content.replace(at, 8, raw(number));
          break;
        }
        case 2:
          content.insert(at, 1, *rc::gen::arbitrary<char>());
          break;
        default:
          content.erase(at, 1);
      }
    }
    open_or_refuse(content);
  });
  EXPECT_TRUE(holds);
}

TEST(GgufProperty, truncated_files_are_refused) {
  const std::string sound = sound_file();
  const bool holds = rc::check([&] {
    test::write_file(scratch_file(), sound.substr(0, *rc::gen::inRange<size_t>(0, sound.size())));
    RC_ASSERT_THROWS_AS(GgufFile::open(scratch_file()), Error);
  });
  EXPECT_TRUE(holds);
}

TEST(GgufProperty, random_bytes_after_the_magic_never_crash) {
  const bool holds = rc::check([] {
    const auto noise = *rc::gen::arbitrary<std::string>();
    open_or_refuse("GGUF" + raw<uint32_t>(3) + raw<uint64_t>(*rc::gen::inRange<uint64_t>(0, 3)) +
                   raw<uint64_t>(*rc::gen::inRange<uint64_t>(0, 3)) + noise);
  });
  EXPECT_TRUE(holds);
}

}  // namespace
}  // namespace morex::io
