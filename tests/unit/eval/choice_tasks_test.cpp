#include "eval/choice_tasks.h"

#include <gtest/gtest.h>

#include "base/files.h"
#include "eval/fewshot.h"
#include "support/paths.h"

namespace morex::eval {
namespace {

std::filesystem::path file_with(const std::string& name, const std::string& lines) {
  const std::filesystem::path file = test::scratch_dir("choice_tasks_" + name) / "data.jsonl";
  write_text_file(file, lines);
  return file;
}

std::vector<Document> load(const std::string& task, const std::string& lines) {
  return load_documents(find_choice_task(task), file_with(task, lines));
}

std::string error_of(const std::string& task, const std::string& lines) {
  try {
    load(task, lines);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kData);
    return error.what();
  }
  ADD_FAILURE() << "no error";
  return "";
}

void expect_same(const std::vector<Document>& hub, const std::vector<Document>& local) {
  ASSERT_EQ(hub.size(), 1u);
  ASSERT_EQ(local.size(), 1u);
  EXPECT_EQ(hub[0].question.context, local[0].question.context);
  EXPECT_EQ(hub[0].question.choices, local[0].question.choices);
  EXPECT_EQ(hub[0].question.gold, local[0].question.gold);
}

TEST(ChoiceTasks, BoolqInBothLayouts) {
  const auto hub = load("boolq", R"({"question":"is it wet","passage":"Rain.\nMore rain.","label":1})");
  EXPECT_EQ(hub[0].question.context, "Rain.\nMore rain.\nQuestion: is it wet?\nAnswer:");
  EXPECT_EQ(hub[0].question.choices, (std::vector<std::string>{"no", "yes"}));
  EXPECT_EQ(hub[0].question.gold, 1);
  expect_same(
      hub,
      load("boolq", R"({"query":"Passage: Rain.\nMore rain.\nQuestion: is it wet?","choices":["no","yes"],"gold":1})"));
}

TEST(ChoiceTasks, ArcEasyInBothLayouts) {
  const auto hub =
      load("arc_easy", R"({"question":"Why?","choices":{"text":["x","y","z"],"label":["1","2","3"]},"answerKey":"3"})");
  EXPECT_EQ(hub[0].question.context, "Question: Why?\nAnswer:");
  EXPECT_EQ(hub[0].question.gold, 2);
  expect_same(hub, load("arc_easy", R"({"query":"Question: Why?","choices":["x","y","z"],"gold":2})"));
}

TEST(ChoiceTasks, OpenbookqaInBothLayouts) {
  const auto hub =
      load("openbookqa",
           R"({"question_stem":"A sun is","choices":{"text":["hot","cold"],"label":["A","B"]},"answerKey":"A"})");
  EXPECT_EQ(hub[0].question.context, "A sun is");
  expect_same(hub, load("openbookqa", R"({"query":"A sun is","choices":["hot","cold"],"gold":0})"));
}

TEST(ChoiceTasks, CommonsenseQaInBothLayouts) {
  const auto hub = load(
      "commonsense_qa",
      R"({"question":" Where? ","choices":{"label":["A","B","C","D","E"],"text":["a","b","c","d","e"]},"answerKey":"D"})");
  EXPECT_EQ(hub[0].question.context, "Question: Where?\nA. a\nB. b\nC. c\nD. d\nE. e\nAnswer:");
  EXPECT_EQ(hub[0].question.choices, (std::vector<std::string>{"A", "B", "C", "D", "E"}));
  EXPECT_EQ(hub[0].question.gold, 3);
  Json choices = Json::array();
  for (const char* key : {"A", "B", "C", "D", "E"}) {
    choices.push_back({{"label", key}, {"text", std::string(1, static_cast<char>(*key - 'A' + 'a'))}});
  }
  const Json row = {{"answerKey", "D"}, {"question", {{"stem", " Where? "}, {"choices", choices}}}};
  expect_same(hub, load("commonsense_qa", row.dump()));
}

TEST(ChoiceTasks, ErrorsNameFileLineAndColumn) {
  EXPECT_NE(error_of("boolq", "{\"passage\":\"p\",\"question\":\"q\",\"label\":0}\n{\"passage\":\"p\",\"label\":0}")
                .find("data.jsonl:2"),
            std::string::npos);
  EXPECT_NE(error_of("boolq", R"({"passage":"p","label":0})").find("question"), std::string::npos);
  EXPECT_NE(error_of("boolq", R"({"passage":"p","question":"q","label":2})").find("index 2"), std::string::npos);
  EXPECT_NE(error_of("arc_easy", R"({"question":"q","answerKey":"A"})").find("choices"), std::string::npos);
  EXPECT_NE(error_of("arc_easy", R"({"question":"q","choices":{"text":["x"],"label":["A"]},"answerKey":"B"})")
                .find("answerKey"),
            std::string::npos);
  EXPECT_NE(error_of("openbookqa", R"({"query":"q","choices":["x"],"gold":1})").find("gold"), std::string::npos);
  EXPECT_NE(error_of("openbookqa", R"({"query":"q","choices":["x",""],"gold":0})").find("empty"), std::string::npos);
  EXPECT_NE(error_of("commonsense_qa", R"({"question":"q","choices":{"text":["x"],"label":["A"]},"answerKey":"A"})")
                .find("five"),
            std::string::npos);
  EXPECT_NE(error_of("arc_easy", "\n").find("at least one row"), std::string::npos);
  EXPECT_NE(error_of("arc_easy", "{").find("data.jsonl:1"), std::string::npos);
}

TEST(ChoiceTasks, AnUnknownTaskNamesTheNearest) {
  try {
    find_choice_task("arc_esy");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kConfig);
    EXPECT_NE(std::string(error.what()).find("'arc_easy'"), std::string::npos) << error.what();
  }
}

std::string boolq_rows(int n) {
  std::string lines;
  for (int i = 0; i < n; ++i) {
    lines += Json{{"passage", "p" + std::to_string(i)}, {"question", "q"}, {"label", i % 2}}.dump() + "\n";
  }
  return lines;
}

using Rows = std::vector<std::vector<int64_t>>;

TEST(Fewshot, DrawsOneMoreAndLeavesTheDocumentOut) {
  // random.Random(1234).sample(range(16), 3) gives [14, 1, 0], then [2, 14, 12].
  const ChoiceTask& boolq = find_choice_task("boolq");
  const std::vector<Document> pool = load("boolq", boolq_rows(16));
  const FewshotOptions two{"default", 2, 1234};
  EXPECT_EQ(draw_fewshot_rows(boolq, two, {pool[5], pool[5]}, pool), (Rows{{14, 1}, {2, 14}}));
  EXPECT_EQ(draw_fewshot_rows(boolq, two, {pool[14], pool[3]}, pool), (Rows{{1, 0}, {2, 14}}));
}

TEST(Fewshot, DrawsPlainlyWhereTheTaskHasATestSplit) {
  const std::vector<Document> pool = load("openbookqa", [] {
    std::string lines;
    for (int i = 0; i < 16; ++i)
      lines += Json{{"query", "q" + std::to_string(i)}, {"choices", {"x"}}, {"gold", 0}}.dump() + "\n";
    return lines;
  }());
  const ChoiceTask& task = find_choice_task("openbookqa");
  EXPECT_EQ(draw_fewshot_rows(task, {"default", 3, 1234}, {pool[14], pool[1]}, pool), (Rows{{14, 1, 0}, {2, 14, 12}}));
  EXPECT_EQ(draw_fewshot_rows(task, {"first_n", 3, 1234}, {pool[14]}, pool), (Rows{{0, 1, 2}}));
  EXPECT_EQ(draw_fewshot_rows(task, {"default", 0, 1234}, {pool[14]}, pool), (Rows{{}}));
}

TEST(Fewshot, ThePromptJoinsExamplesByAnEmptyLine) {
  const std::vector<Document> pool = load("boolq", boolq_rows(2));
  EXPECT_EQ(fewshot_context(pool, {1, 0}, "C"), "p1\nQuestion: q?\nAnswer: yes\n\np0\nQuestion: q?\nAnswer: no\n\nC");
  EXPECT_EQ(fewshot_context(pool, {}, "C"), "C");
}

TEST(Fewshot, RefusesASmallPoolAndAnUnknownSampler) {
  const ChoiceTask& boolq = find_choice_task("boolq");
  const std::vector<Document> pool = load("boolq", boolq_rows(3));
  EXPECT_THROW(draw_fewshot_rows(boolq, {"default", 3, 1}, pool, pool), Error);
  EXPECT_NO_THROW(draw_fewshot_rows(boolq, {"first_n", 3, 1}, pool, pool));
  EXPECT_THROW(draw_fewshot_rows(boolq, {"random", 1, 1}, pool, pool), Error);
}

}  // namespace
}  // namespace morex::eval
