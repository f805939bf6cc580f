#include "data/dataset.h"

#include <gtest/gtest.h>

#include "base/checksum.h"
#include "support/paths.h"
#include "unit/data/letter_tokenizer.h"
#include "unit/io/io_test_support.h"

namespace morex::data {
namespace {
using test::error_of;
using test::LetterTokenizer;

class DatasetTest : public testing::Test {
 protected:
  Dataset load(std::string_view content) {
    test::write_file(path_, content);
    return load_dataset(path_, tokenizer_, options_, warnings_);
  }
  void expect_error(std::string_view content, ErrorKind kind, const std::vector<std::string>& mentions) {
    try {
      load(content);
      ADD_FAILURE() << "no error for " << content;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), kind) << error.what();
      for (const std::string& mention : mentions)
        EXPECT_NE(std::string(error.what()).find(mention), std::string::npos) << mention << ": " << error.what();
    }
  }

  std::filesystem::path path_ = test::scratch_dir("dataset") / "train.jsonl";
  LetterTokenizer tokenizer_{test::kChatMl};
  DatasetOptions options_;
  Warnings warnings_{false, false};
};

TEST_F(DatasetTest, every_format_is_read) {
  EXPECT_EQ(load(R"({"instruction":"a","output":"bc"})").report.supervised, 3);
  EXPECT_EQ(load(R"({"prompt":"a","completion":"bc"})").report.supervised, 3);
  EXPECT_EQ(load(R"({"prompt":"a","response":"bc"})").report.supervised, 3);
  EXPECT_EQ(load(R"({"text":"abc"})").report.supervised, 4);
  EXPECT_EQ(
      load(R"({"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"bc"}]})").report.supervised, 3);
  EXPECT_TRUE(warnings_.counts().empty());
}

TEST_F(DatasetTest, lines_and_totals_are_reported) {
  const std::string content = "{\"prompt\":\"a\",\"completion\":\"bc\"}\n\n{\"prompt\":\"abc\",\"completion\":\"\"}\n";
  const Dataset dataset = load(content);
  ASSERT_EQ(dataset.examples.size(), 2u);
  EXPECT_EQ(dataset.examples[1].line, 3);
  EXPECT_EQ(dataset.report.rows, 2);
  EXPECT_EQ(dataset.report.tokens, 5 + 5);
  EXPECT_EQ(dataset.report.supervised, 3 + 1);
  EXPECT_EQ(dataset.report.digest, sha256_hex(content));
}

TEST_F(DatasetTest, max_rows_reads_no_further) {
  options_.max_rows = 1;
  EXPECT_EQ(load("{\"text\":\"a\"}\n{broken").report.rows, 1);
}

TEST_F(DatasetTest, the_first_line_decides_the_format) {
  expect_error("{\"text\":\"a\"}\n{\"prompt\":\"a\",\"completion\":\"b\"}", ErrorKind::kData,
               {"train.jsonl:2", "'text'", "missing"});
}

TEST_F(DatasetTest, bad_files_and_rows_are_named) {
  expect_error("", ErrorKind::kData, {"train.jsonl", "at least one row"});
  expect_error("\n  \n", ErrorKind::kData, {"train.jsonl", "at least one row"});
  expect_error("{\"text\":\"a\"}\n{\"text\":", ErrorKind::kData, {"train.jsonl:2", "JSON"});
  expect_error("{\"text\":\"a\"}\n[]", ErrorKind::kData, {"train.jsonl:2", "object"});
  expect_error("{\"text\":\"\xFF\"}", ErrorKind::kData, {"train.jsonl:1", "UTF-8"});
  expect_error("{\"text\":\"a\"}\n{\"text\":7}", ErrorKind::kData, {"train.jsonl:2", "'text'", "number"});
  expect_error("{\"a\":1}", ErrorKind::kData, {"train.jsonl:1", "keys", "Hint"});
  EXPECT_NE(error_of([&] {
              load_dataset(path_.parent_path() / "none.jsonl", tokenizer_, options_, warnings_);
            }).find("none.jsonl"),
            std::string::npos);
}

TEST_F(DatasetTest, bad_options_are_refused) {
  options_.max_seq_length = 1;
  expect_error("{\"text\":\"a\"}", ErrorKind::kConfig, {"max_seq_length"});
  options_ = {};
  options_.truncation = "left";
  expect_error("{\"text\":\"a\"}", ErrorKind::kConfig, {"truncation", "left"});
  options_ = {};
  options_.format = "alpacca";
  expect_error("{\"text\":\"a\"}", ErrorKind::kConfig, {"alpacca"});
  tokenizer_ = LetterTokenizer("");
  options_ = {};
  expect_error(R"({"messages":[{"role":"user","content":"a"}]})", ErrorKind::kConfig, {"chat template", "Hint"});
}

TEST_F(DatasetTest, truncation_is_counted_never_silent) {
  options_.max_seq_length = 4;
  const Dataset dataset = load("{\"text\":\"abcdef\"}\n{\"text\":\"ab\"}\n{\"text\":\"abcd\"}\n");
  EXPECT_EQ(dataset.report.truncated, 2);
  EXPECT_EQ(dataset.report.end_cut, 2);
  EXPECT_EQ(dataset.report.cut_tokens, 4 + 2);
  EXPECT_EQ(warnings_.counts().at("data.truncated"), 2);
  EXPECT_EQ(warnings_.counts().at("data.end_cut"), 2);
  EXPECT_NE(warnings_.messages().at("data.truncated").find("2 of 3 rows"), std::string::npos);
}

TEST_F(DatasetTest, fully_masked_rows_are_left_out_and_counted) {
  options_.max_seq_length = 4;
  options_.truncation = "whole_text";
  const Dataset dataset =
      load("{\"prompt\":\"abcdef\",\"completion\":\"x\"}\n{\"prompt\":\"a\",\"completion\":\"b\"}\n");
  EXPECT_EQ(dataset.examples.size(), 1u);
  EXPECT_EQ(dataset.report.rows, 2);
  EXPECT_EQ(dataset.report.fully_masked, 1);
  EXPECT_EQ(warnings_.counts().at("data.fully_masked"), 1);
  EXPECT_NE(warnings_.messages().at("data.fully_masked").find("train.jsonl:1"), std::string::npos);
}

TEST_F(DatasetTest, a_file_with_nothing_to_train_on_is_refused) {
  expect_error(R"({"messages":[{"role":"user","content":"a"}]})", ErrorKind::kData,
               {"train.jsonl:1", "fully masked", "Hint"});
}

TEST_F(DatasetTest, strict_makes_warnings_errors) {
  warnings_ = Warnings(true, false);
  options_.max_seq_length = 4;
  expect_error("{\"text\":\"abcdef\"}", ErrorKind::kConfig, {"max_seq_length"});
}

TEST_F(DatasetTest, one_row_can_be_encoded_alone) {
  const Example example = encode_row(Json::parse(R"({"prompt":"a","completion":"b"})"), tokenizer_, options_, "row");
  EXPECT_EQ(example.prompt_text, "a");
  EXPECT_EQ(example.supervised(), 2);
  EXPECT_NE(error_of([&] { encode_row(Json::array(), tokenizer_, options_, "row"); }).find("[row]"), std::string::npos);
}

}  // namespace
}  // namespace morex::data
