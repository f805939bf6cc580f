// Copying a tokenizer's files. What is made from a .gguf file: golden/text/gguf_tokenizer_files_test.cpp.
#include "text/tokenizer_files.h"

#include <gtest/gtest.h>

#include "base/files.h"
#include "support/paths.h"
#include "unit/text/small_tokenizers.h"

namespace morex::text {
namespace {

namespace fs = std::filesystem;

TEST(WriteTokenizerFiles, Copies_a_folder_and_names_what_is_missing) {
  const fs::path folder = morex::test::scratch_dir("tokenizer_source"),
                 target = morex::test::scratch_dir("tokenizer_target");
  EXPECT_NE(why_no_tokenizer_files(folder).find("tokenizer.json"), std::string::npos);
  test::write_json(folder / "tokenizer.json", test::byte_level_json({"a b"}));
  EXPECT_EQ(why_no_tokenizer_files(folder), "");
  EXPECT_EQ(why_no_tokenizer_files(folder / "tokenizer.json"), "");
  write_tokenizer_files(folder, target);
  EXPECT_EQ(read_text_file(folder / "tokenizer.json"), read_text_file(target / "tokenizer.json"));
  fs::remove_all(folder);
  fs::remove_all(target);
}

}  // namespace
}  // namespace morex::text
