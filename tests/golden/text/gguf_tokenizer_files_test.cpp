// The tokenizer.json written from a .gguf file gives the ids of the model's own tokenizer, all exact.
#include "text/gguf_tokenizer_files.h"

#include <gtest/gtest.h>

#include "io/gguf.h"
#include "io/jsonl.h"
#include "support/paths.h"
#include "text/tokenizer.h"

namespace morex::text {
namespace {

namespace fs = std::filesystem;

TEST(GgufTokenizer, Smollm2_written_as_json_encodes_alike) {
  const fs::path cases = test::golden_dir() / "smollm2" / "tokenizer_cases.jsonl";
  for (const fs::path& needed : {cases, test::smollm2_gguf()}) {
    if (!fs::exists(needed)) GTEST_SKIP() << needed << " is not there";
  }
  const fs::path folder = test::scratch_dir("gguf_tokenizer");
  write_gguf_tokenizer(*io::GgufFile::open(test::smollm2_gguf()), folder);
  const auto tokenizer = Tokenizer::load(folder);
  io::JsonlReader reader(cases);
  int64_t compared = 0;
  for (Json row; reader.next(row); ++compared) {
    const auto text = row.at("text").get<std::string>();
    const auto ids = row.at("ids").get<std::vector<int64_t>>();
    EXPECT_EQ(tokenizer->encode(text, true), ids) << "line " << reader.line_number();
    EXPECT_EQ(tokenizer->decode(ids, false), row.value("decoded", text)) << "line " << reader.line_number();
  }
  EXPECT_GT(compared, 0);
  const auto original = Tokenizer::load(test::smollm2_gguf());
  EXPECT_EQ(tokenizer->chat_template(), original->chat_template());
  EXPECT_EQ(tokenizer->eos_id(), original->eos_id());
  EXPECT_EQ(tokenizer->bos_id(), original->bos_id());
  EXPECT_EQ(tokenizer->pad_id(), original->pad_id());
  fs::remove_all(folder);
}

}  // namespace
}  // namespace morex::text
