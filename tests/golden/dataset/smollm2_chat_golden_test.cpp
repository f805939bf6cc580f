// golden/smollm2: conversations of the real model's own template become ids with the assistant turns taught.
#include <gtest/gtest.h>

#include "data/dataset.h"
#include "io/jsonl.h"
#include "support/paths.h"

namespace morex::data {
namespace {
namespace fs = std::filesystem;

TEST(SmolLm2ChatGolden, rendered_ids_match_and_turns_are_taught) {
  const fs::path cases = test::golden_dir() / "smollm2" / "chat_cases.jsonl";
  for (const fs::path& path : {cases, test::smollm2_gguf()})
    if (!fs::exists(path)) GTEST_SKIP() << "not there: " << path;
  const auto tokenizer = text::Tokenizer::load(test::smollm2_gguf());
  const int64_t end_of_turn = tokenizer->token_to_id("<|im_end|>").value();
  DatasetOptions options;
  options.max_seq_length = 100'000;
  io::JsonlReader reader(cases);
  int64_t compared = 0;
  for (Json entry; reader.next(entry);) {
    if (entry.at("add_generation_prompt").get<bool>()) continue;
    SCOPED_TRACE(reader.line_number());
    const Json& messages = entry.at("messages");
    const auto turns = std::count_if(messages.begin(), messages.end(),
                                     [](const Json& message) { return message.at("role") == "assistant"; });
    const Example example = encode_row({{"messages", messages}}, *tokenizer, options, "case");
    const auto ids = entry.at("ids").get<std::vector<int64_t>>();
    ASSERT_LE(example.ids.size(), ids.size());
    EXPECT_TRUE(std::equal(example.ids.begin(), example.ids.end(), ids.begin()));
    EXPECT_GE(std::count(example.labels.begin(), example.labels.end(), end_of_turn), turns);
    EXPECT_EQ(example.supervised() > 0, turns > 0);
    if (turns > 0) {
      EXPECT_EQ(example.labels.back(), end_of_turn);
    }
    ++compared;
  }
  EXPECT_GT(compared, 0);
}

}  // namespace
}  // namespace morex::data
