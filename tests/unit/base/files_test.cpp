#include "base/files.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <cstring>

#include "base/checksum.h"
#include "base/mapped_file.h"
#include "support/paths.h"

namespace morex {
namespace {

TEST(AtomicFile, replaces_the_old_content_only_on_commit) {
  const auto path = test::scratch_dir("atomic") / "file.txt";
  write_text_file(path, "old");
  {
    AtomicFile file(path);
    file.write("half of the n");
    EXPECT_EQ(read_text_file(path), "old");
  }
  EXPECT_EQ(read_text_file(path), "old");
  EXPECT_FALSE(std::filesystem::exists(path.string() + ".tmp"));
  write_text_file(path, "new");
  EXPECT_EQ(read_text_file(path), "new");
}

TEST(AtomicFile, a_file_size_limit_is_an_error_that_leaves_the_old_content) {
  const auto path = test::scratch_dir("limit") / "file.bin";
  write_text_file(path, "old");
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small{1000, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  try {
    write_text_file(path, std::string(5000, 'x'));
    ADD_FAILURE() << "must throw";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kRun);
    EXPECT_NE(std::string(error.what()).find("file.bin"), std::string::npos);
  }
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_EQ(read_text_file(path), "old");
}

TEST(Files, errors_name_the_path_and_the_kind) {
  for (const auto& open : {+[] { (void)read_text_file("/nowhere/x.json", ErrorKind::kData); },
                           +[] { (void)MappedFile::open("/nowhere/x.json", ErrorKind::kData); }}) {
    try {
      open();
      ADD_FAILURE() << "must throw";
    } catch (const Error& error) {
      EXPECT_EQ(error.exit_code(), 3);
      EXPECT_NE(std::string(error.what()).find("/nowhere/x.json"), std::string::npos);
    }
  }
}

TEST(MappedFile, an_empty_file_is_an_empty_span) {
  const auto path = test::scratch_dir("empty") / "e";
  write_text_file(path, "");
  EXPECT_TRUE(MappedFile::open(path)->bytes().empty());
}

// Bytes of mapped files that the process holds in memory.
int64_t mapped_bytes_in_memory() {
  const std::string status = read_text_file("/proc/self/status");
  const size_t at = status.find("RssFile:");
  return at == std::string::npos ? -1 : std::stoll(status.substr(at + 8)) * 1024;
}

TEST(MappedFile, released_bytes_leave_memory_and_can_be_read_again) {
  constexpr int64_t kSize = (int64_t{32} << 20) + 5;
  const auto path = test::scratch_dir("release") / "f";
  std::string text(static_cast<size_t>(kSize), 'x');
  for (size_t i = 0; i < text.size(); i += 1000) text[i] = static_cast<char>('a' + i % 26);
  write_text_file(path, text);
  const auto file = MappedFile::open(path);
  const auto same = [&] { return std::memcmp(file->bytes().data(), text.data(), text.size()) == 0; };
  EXPECT_TRUE(same());
  const int64_t before = mapped_bytes_in_memory();
  if (before < 0) GTEST_SKIP() << "this kernel does not count them";
  file->release(file->bytes().subspan(3, text.size() - 10));
  EXPECT_LT(mapped_bytes_in_memory(), before - (kSize - (1 << 20)));
  file->release(file->bytes().subspan(7, 100));  // less than a page: nothing
  file->release({});
  EXPECT_TRUE(same());
}

TEST(Checksum, sha256_and_crc32c_give_the_published_values) {
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256_hex(std::string(1000000, 'a')), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  const std::string digits = "123456789";
  EXPECT_EQ(crc32c(std::as_bytes(std::span(digits.data(), digits.size()))), 0xE3069283u);
  Sha256 parts;  // pieces of odd sizes give the same digest as the whole
  const std::string text(777, 'q');
  for (size_t i = 0; i < text.size(); i += 37)
    parts.update(std::as_bytes(std::span(text.data() + i, std::min<size_t>(37, text.size() - i))));
  EXPECT_EQ(parts.hex(), sha256_hex(text));
}

}  // namespace
}  // namespace morex
