// What rows say of themselves: question, task, sample type; and how it travels.
#include "data/row_facts.h"

#include <gtest/gtest.h>

#include "base/files.h"
#include "data/batch.h"
#include "data/packing.h"
#include "data/prompt_format.h"
#include "data/questions.h"
#include "support/paths.h"
#include "unit/data/letter_tokenizer.h"

namespace morex::data {
namespace {

namespace fs = std::filesystem;

DatasetOptions wanting(bool task, bool type) {
  DatasetOptions options;
  options.wants_task = task;
  options.wants_sample_type = type;
  return options;
}

SequenceFacts facts_of(const Json& columns, const DatasetOptions& options) {
  SequenceFacts facts;
  read_columns(columns, options, "f:7", facts);
  return facts;
}

std::string refusal(const Json& columns, const DatasetOptions& options) {
  try {
    facts_of(columns, options);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kData);
    return error.what();
  }
  return "none";
}

TEST(RowFacts, Columns_are_read_when_they_are_wanted) {
  const Json row = {{"task", "sort"}, {"sample_type", 1}};
  EXPECT_EQ(facts_of(row, wanting(true, true)).task, "sort");
  EXPECT_EQ(facts_of(row, wanting(true, true)).sample_type, 1);
  EXPECT_EQ(facts_of(row, wanting(false, false)), SequenceFacts());
  EXPECT_EQ(facts_of({{"task", 12}}, wanting(true, false)).task, "12");
  DatasetOptions named = wanting(true, true);
  named.task_column = "skill";
  named.sample_type_column = "kind";
  const SequenceFacts facts = facts_of({{"skill", "a"}, {"kind", 0}, {"task", "b"}}, named);
  EXPECT_EQ(facts.task, "a");
  EXPECT_EQ(facts.sample_type, 0);
}

TEST(RowFacts, A_wanted_column_that_is_not_there_is_refused_with_row_and_column) {
  EXPECT_EQ(refusal({{"skill", "a"}}, wanting(true, false)),
            "[f:7] column 'task' is missing, which the method needs. Hint: task_column names another column");
  EXPECT_NE(refusal({{"task", nullptr}}, wanting(true, false)).find("column 'task' is missing"), std::string::npos);
  EXPECT_NE(refusal({{"task", "a"}}, wanting(true, true)).find("column 'sample_type' is missing"), std::string::npos);
}

TEST(RowFacts, A_column_with_something_else_is_refused) {
  for (const Json& bad : {Json(""), Json(-1), Json(1.5), Json::array({1}), Json::object(), Json(true)})
    EXPECT_NE(refusal({{"task", bad}}, wanting(true, false)).find("must be a task's name or its number"),
              std::string::npos)
        << bad;
  for (const Json& bad : {Json(2), Json(-1), Json("1"), Json(0.0), Json(true)})
    EXPECT_NE(refusal({{"sample_type", bad}}, wanting(false, true)).find("must be 0 or 1"), std::string::npos) << bad;
  EXPECT_EQ(refusal({{"task", Json::object()}}, wanting(false, false)), "none") << "nobody asked for it";
}

TEST(RowFacts, A_fixed_task_goes_before_the_column_and_a_fallback_behind_it) {
  DatasetOptions fixed = wanting(true, false), fallback = wanting(true, false);
  fixed.fixed_task = fallback.fallback_task = "x";
  EXPECT_EQ(facts_of({{"task", "a"}}, fixed).task, "x");
  EXPECT_EQ(facts_of({{"task", "a"}}, fallback).task, "a");
  EXPECT_EQ(facts_of(Json::object(), fallback).task, "x");
}

TEST(RowFacts, A_question_is_what_is_asked_without_a_template) {
  const auto question = [](const Json& row, Format format) { return read_question(row, format, "f:1"); };
  EXPECT_EQ(question({{"instruction", "add"}, {"input", "1 2"}, {"output", "3"}}, Format::kAlpaca), "add\n1 2");
  EXPECT_EQ(question({{"instruction", "add"}, {"output", "3"}}, Format::kAlpaca), "add");
  EXPECT_EQ(question({{"prompt", "p "}, {"completion", "c"}}, Format::kCompletion), "p ");
  const auto turn = [](const char* role, const char* text) { return Json{{"role", role}, {"content", text}}; };
  EXPECT_EQ(question({{"messages",
                       {turn("system", "s"), turn("user", "a"), turn("user", "b"), turn("assistant", "c"),
                        turn("user", "d"), turn("assistant", "e")}}},
                     Format::kMessages),
            "a\nb");
  EXPECT_THROW(question({{"text", "t"}}, Format::kText), Error);
}

class Rows : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = test::scratch_dir("row_facts");
    write_text_file(folder_ / "a.jsonl",
                    "{\"prompt\": \"ab\", \"completion\": \"cd\", \"task\": \"x\", \"sample_type\": 0}\n"
                    "{\"prompt\": \"e\", \"completion\": \"\", \"task\": \"w\", \"sample_type\": 0}\n\n"
                    "{\"prompt\": \"efgh\", \"completion\": \"ij\", \"task\": \"y\", \"sample_type\": 1}\n");
    DatasetOptions options = wanting(true, true);
    options.train_on_eos = false;  // so that the second row has nothing to learn
    options.file = 1;
    examples_ = load_dataset(folder_ / "a.jsonl", tokenizer_, options, warnings_).examples;
  }

  morex::test::LetterTokenizer tokenizer_;
  Warnings warnings_{false, false};
  fs::path folder_;
  std::vector<Example> examples_;
};

TEST_F(Rows, Rows_are_counted_with_those_that_are_left_out) {
  ASSERT_EQ(examples_.size(), 2U);
  EXPECT_EQ(examples_[0].facts, (SequenceFacts{"ab", "x", 0, 1, 0}));
  EXPECT_EQ(examples_[1].facts, (SequenceFacts{"efgh", "y", 1, 1, 2}));
}

TEST_F(Rows, A_batch_brings_its_rows_facts_in_its_own_order) {
  const Batch batch = make_batch(examples_, {1, 0, 1}, 0);
  ASSERT_EQ(batch.facts.size(), 3U);
  EXPECT_EQ(batch.facts[0], examples_[1].facts);
  EXPECT_EQ(batch.facts[1], examples_[0].facts);
  EXPECT_EQ(batch.prompt(1).size(), static_cast<size_t>(examples_[0].prompt_length));
}

TEST_F(Rows, A_packed_row_brings_those_of_its_segments) {
  const PackedRow packed = pack(examples_, {1, 0});
  ASSERT_EQ(packed.facts.size(), 2U);
  EXPECT_EQ(packed.facts[0], examples_[1].facts);
  EXPECT_EQ(packed.facts[1], examples_[0].facts);
}

TEST_F(Rows, Questions_alone_need_no_tokenizer) {
  const std::vector<SequenceFacts> facts = load_questions(folder_ / "a.jsonl", "auto");
  ASSERT_EQ(facts.size(), 3U);
  EXPECT_EQ(facts[2].question, "efgh");
  EXPECT_EQ(facts[2].row, 2);
  write_text_file(folder_ / "text.jsonl", "{\"text\": \"t\"}\n");
  EXPECT_THROW(load_questions(folder_ / "text.jsonl", "auto"), Error);
}

}  // namespace
}  // namespace morex::data
