#include "eval/exact_match.h"

#include <gtest/gtest.h>

#include "base/files.h"
#include "base/strings.h"
#include "base/warnings.h"
#include "eval/generate.h"
#include "eval/generate_batch.h"
#include "support/paths.h"

namespace morex::eval {
namespace {

// A random Llama with a byte-level tokenizer, in float64: batched and single products choose the same ids.
class TinyLlama : public testing::Test {
 protected:
  void SetUp() override {
    const auto file = test::golden_dir() / "gguf" / "llama_untied.gguf";
    if (!std::filesystem::exists(file)) GTEST_SKIP() << file << " is not there";
    Warnings warnings(false, false);
    model_ = models::load_model(file, {at::kDouble, at::kCPU}, warnings);
    tokenizer_ = text::Tokenizer::load(file);
  }

  std::unique_ptr<models::CausalLm> model_;
  std::shared_ptr<const text::Tokenizer> tokenizer_;
};

TEST_F(TinyLlama, ABatchOfPromptsGivesWhatEachAloneGives) {
  std::vector<nn::Prompt> prompts;
  for (const char* text : {"the hand", "a", "in 2024 it is the other", "Hello, world!"}) {
    prompts.push_back(tokenizer_->encode(text, true));
  }
  GenerationOptions single;
  single.max_new_tokens = 12;
  BatchGenerationOptions batched;
  batched.max_new_tokens = 12;
  for (const int64_t tokens : {1, 60, 100000}) {  // one prompt a batch, a few, all
    batched.tokens_per_batch = tokens;
    const auto results = generate_batch(*model_, prompts, batched);
    for (size_t i = 0; i < prompts.size(); ++i) {
      EXPECT_EQ(results[i], generate(*model_, nullptr, prompts[i], single).ids) << i;
    }
  }
}

TEST_F(TinyLlama, RowsStopAtTheirOwnEnd) {
  const std::vector<nn::Prompt> prompts = {tokenizer_->encode("the hand", true), tokenizer_->encode("in 2024", true)};
  BatchGenerationOptions options;
  options.max_new_tokens = 10;
  const auto free = generate_batch(*model_, prompts, options);
  options.stop_ids = {free[0][3]};
  const auto stopped = generate_batch(*model_, prompts, options);
  const auto first = std::find(free[0].begin(), free[0].end(), free[0][3]);
  EXPECT_EQ(stopped[0], std::vector<int64_t>(free[0].begin(), first + 1));
  const auto other = std::find(free[1].begin(), free[1].end(), free[0][3]);
  EXPECT_EQ(stopped[1], std::vector<int64_t>(free[1].begin(), other == free[1].end() ? other : other + 1));
}

TEST_F(TinyLlama, AnEmptyPromptIsRefused) {
  EXPECT_THROW(generate_batch(*model_, {nn::Prompt(std::vector<int64_t>())}, {}), Error);
}

TEST_F(TinyLlama, CountsAnswersThatAreEqualAfterTrimming) {
  const auto folder = test::scratch_dir("exact_match");
  const auto row = [](const std::string& prompt, const std::string& answer) {
    return Json{{"prompt", prompt}, {"completion", answer}}.dump() + "\n";
  };
  write_text_file(folder / "wrong.jsonl", row("the hand", "certainly not this") + row("in 2024", "nor this"));
  TaskOptions options;
  options.protocol = kExactMatchProtocol;
  options.tasks = {"all"};
  options.data_dir = folder;
  options.samples_file = folder / "out.samples";
  Warnings warnings(false, false);
  const Json result = run_tasks(*model_, *tokenizer_, options, warnings);
  EXPECT_EQ(result["protocol"], "exact-match");
  EXPECT_EQ(result["tasks"]["wrong"]["n"], 2);
  EXPECT_EQ(result["tasks"]["wrong"]["acc"], 0.0);
  const std::vector<std::string> lines = split(read_text_file(options.samples_file), '\n');
  ASSERT_EQ(lines.size(), 3u);
  const Json sample = parse_json(lines[0], "sample");
  EXPECT_EQ(sample["reference"], "certainly not this");
  EXPECT_FALSE(sample["correct"].get<bool>());
  EXPECT_NE(sample["answer"], sample["reference"]);
}

TEST_F(TinyLlama, MissingDataAndFewShotAreRefused) {
  TaskOptions options;
  options.protocol = kExactMatchProtocol;
  options.tasks = {"nothing"};
  options.data_dir = test::scratch_dir("exact_match_missing");
  EXPECT_THROW(run_exact_match(*model_, *tokenizer_, options, {}), Error);
  options.num_fewshot = 2;
  EXPECT_THROW(run_exact_match(*model_, *tokenizer_, options, {}), Error);
}

}  // namespace
}  // namespace morex::eval
