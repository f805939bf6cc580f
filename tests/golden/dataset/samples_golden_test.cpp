// golden/eval/train/samples.jsonl: ids and masks of training samples under both truncation rules.
#include <gtest/gtest.h>

#include <map>

#include "data/dataset.h"
#include "io/jsonl.h"
#include "support/paths.h"

namespace morex::data {
namespace {
namespace fs = std::filesystem;

fs::path folder() { return test::golden_dir() / "eval" / "train"; }
fs::path model_folder() { return test::data_dir() / "models" / "tinystories-656k"; }

struct Texts {
  std::string prompt, response;
};

// Prompt and response of each (set, row, template); only some samples spell them out.
std::map<std::string, Texts> collect_texts(const std::vector<Json>& samples) {
  std::map<std::string, Texts> texts;
  for (const Json& sample : samples) {
    if (!sample.contains("prompt")) continue;
    const auto prompt = sample.at("prompt").get<std::string>();
    const std::string response = sample.contains("response")
                                     ? sample.at("response").get<std::string>()
                                     : sample.at("full").get<std::string>().substr(prompt.size());
    texts[fmt::format("{} {} {}", sample.at("set").dump(), sample.at("row").dump(), sample.at("template").dump())] = {
        prompt, response};
  }
  return texts;
}

void expect_sample(const Json& sample, const Json& row, const text::Tokenizer& tokenizer) {
  DatasetOptions options;
  options.max_seq_length = sample.at("cutoff");
  options.truncation = sample.at("rule") == "concat" ? "concat" : "whole_text";
  options.train_on_inputs = sample.at("train_on_inputs");
  const Example example = encode_row(row, tokenizer, options, "sample");
  const auto ids = sample.at("ids").get<std::vector<int64_t>>();
  EXPECT_EQ(example.ids, ids);
  std::vector<int64_t> labels = ids;
  std::fill_n(labels.begin(), sample.at("labels_from").get<size_t>(), kIgnoreLabel);
  EXPECT_EQ(example.labels, labels);
  EXPECT_EQ(std::count(example.labels.begin(), example.labels.end(), kIgnoreLabel),
            sample.at("n_masked").get<int64_t>());
  EXPECT_EQ(example.supervised(), sample.at("n_targets").get<int64_t>());
  EXPECT_EQ(example.ids.back() == tokenizer.eos_id(), sample.at("ends_with_eos").get<bool>());
}

class SamplesGolden : public testing::Test {
 protected:
  void SetUp() override {
    for (const fs::path& path : {folder() / "samples.jsonl", model_folder()})
      if (!fs::exists(path)) GTEST_SKIP() << "not there: " << path;
    tokenizer_ = text::Tokenizer::load(model_folder());
    io::JsonlReader reader(folder() / "samples.jsonl");
    for (Json sample; reader.next(sample);) samples_.push_back(sample);
    ASSERT_FALSE(samples_.empty());
  }
  std::shared_ptr<const text::Tokenizer> tokenizer_;
  std::vector<Json> samples_;
};

TEST_F(SamplesGolden, ids_and_masks_match) {
  const std::map<std::string, Texts> texts = collect_texts(samples_);
  size_t compared = 0;
  for (const Json& sample : samples_) {
    const std::string name =
        fmt::format("{} {} {}", sample.at("set").dump(), sample.at("row").dump(), sample.at("template").dump());
    SCOPED_TRACE(name + " " + sample.at("rule").dump() + " " + sample.at("cutoff").dump());
    const auto found = texts.find(name);
    if (found == texts.end()) continue;
    expect_sample(sample, {{"prompt", found->second.prompt}, {"completion", found->second.response}}, *tokenizer_);
    ++compared;
  }
  EXPECT_EQ(compared, samples_.size());
}

// The same from the rows of the dataset itself, through the Alpaca template.
TEST_F(SamplesGolden, alpaca_rows_match) {
  int64_t compared = 0;
  std::map<std::string, std::vector<Json>> sets;
  for (const Json& sample : samples_) {
    if (sample.at("template") != "alpaca") continue;
    const auto set = sample.at("set").get<std::string>();
    const fs::path path = test::data_dir() / "datasets" / (set + ".jsonl");
    if (!fs::exists(path)) GTEST_SKIP() << "not there: " << path;
    std::vector<Json>& rows = sets[set];
    if (rows.empty()) {
      io::JsonlReader reader(path);
      for (Json row; reader.next(row);) rows.push_back(row);
    }
    SCOPED_TRACE(set + " " + sample.at("row").dump() + " " + sample.at("rule").dump() + " " +
                 sample.at("cutoff").dump());
    expect_sample(sample, rows.at(sample.at("row").get<size_t>()), *tokenizer_);
    ++compared;
  }
  EXPECT_GT(compared, 0);
}

}  // namespace
}  // namespace morex::data
