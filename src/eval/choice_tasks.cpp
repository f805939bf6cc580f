#include "eval/choice_tasks.h"

#include <algorithm>
#include <string_view>

#include "base/strings.h"
#include "eval/python_text.h"
#include "io/jsonl.h"

namespace morex::eval {
namespace {

// ---- local layouts: {query, choices, gold}, or CommonsenseQA's own file ----

std::string letter(int64_t index) { return std::string(1, static_cast<char>('A' + index)); }

// {text: […], label: [A, B, …]} and the letter of the gold choice.
void put_lettered_choices(Json& hub, const JsonReader& local) {
  const auto texts = local.get<std::vector<std::string>>("choices");
  const auto gold = local.get<int64_t>("gold");
  Json labels = Json::array();
  for (size_t i = 0; i < texts.size(); ++i) labels.push_back(letter(static_cast<int64_t>(i)));
  MOREX_CHECK(gold >= 0 && gold < static_cast<int64_t>(texts.size()), ErrorKind::kData,
              "[{}] gold must be the index of one of {} choices, got {}", local.where(), texts.size(), gold);
  hub["choices"] = {{"text", texts}, {"label", labels}};
  hub["answerKey"] = letter(gold);
}

std::string without_prefix(const JsonReader& local, std::string_view prefix) {
  const auto query = local.get<std::string>("query");
  MOREX_CHECK(query.starts_with(prefix), ErrorKind::kData, "[{}] query must start with '{}', got '{}'", local.where(),
              prefix, query.substr(0, 40));
  return query.substr(prefix.size());
}

Json boolq_row(const Json& row, const std::string& where) {
  if (!row.contains("query")) return row;
  const JsonReader local(row, where, ErrorKind::kData);
  const std::string query = without_prefix(local, "Passage: ");
  constexpr std::string_view kBorder = "\nQuestion: ";
  const size_t border = query.rfind(kBorder);
  MOREX_CHECK(border != std::string::npos && query.ends_with('?'), ErrorKind::kData,
              "[{}] query must read 'Passage: …\\nQuestion: …?', got '…{}'", where,
              query.substr(query.size() - std::min<size_t>(query.size(), 40)));
  const size_t begin = border + kBorder.size();
  MOREX_CHECK(local.get<std::vector<std::string>>("choices") == std::vector<std::string>({"no", "yes"}),
              ErrorKind::kData, "[{}] choices must be no, yes, got {}", where, row["choices"].dump());
  return {{"passage", query.substr(0, border)},
          {"question", query.substr(begin, query.size() - begin - 1)},
          {"label", local.get<int64_t>("gold")}};
}

Json arc_easy_row(const Json& row, const std::string& where) {
  if (!row.contains("query")) return row;
  const JsonReader local(row, where, ErrorKind::kData);
  Json hub = {{"question", without_prefix(local, "Question: ")}};
  put_lettered_choices(hub, local);
  return hub;
}

Json openbookqa_row(const Json& row, const std::string& where) {
  if (!row.contains("query")) return row;
  const JsonReader local(row, where, ErrorKind::kData);
  Json hub = {{"question_stem", without_prefix(local, "")}};
  put_lettered_choices(hub, local);
  return hub;
}

Json commonsense_qa_row(const Json& row, const std::string& where) {
  if (!row.contains("question") || !row["question"].is_object()) return row;
  const JsonReader local(row, where, ErrorKind::kData);
  const JsonReader question(row["question"], where + " question", ErrorKind::kData);
  const Json& choices = question.raw("choices");
  MOREX_CHECK(choices.is_array(), ErrorKind::kData, "[{}] question.choices must be a list, got {}", where,
              choices.type_name());
  Json texts = Json::array(), labels = Json::array();
  for (const Json& entry : choices) {
    const JsonReader choice(entry, where + " question.choices", ErrorKind::kData);
    texts.push_back(choice.get<std::string>("text"));
    labels.push_back(choice.get<std::string>("label"));
  }
  return {{"question", question.get<std::string>("stem")},
          {"choices", {{"text", texts}, {"label", labels}}},
          {"answerKey", local.get<std::string>("answerKey")}};
}

// ---- hub layouts to questions ----

struct LabelledChoices {
  std::vector<std::string> texts;
  int64_t gold = 0;
};

LabelledChoices labelled_choices(const JsonReader& row) {
  const JsonReader choices(row.raw("choices"), row.where() + " choices", ErrorKind::kData);
  LabelledChoices result;
  result.texts = choices.get<std::vector<std::string>>("text");
  const auto labels = choices.get<std::vector<std::string>>("label");
  MOREX_CHECK(labels.size() == result.texts.size() && !labels.empty(), ErrorKind::kData,
              "[{}] choices must hold as many labels as texts, got {} and {}", row.where(), labels.size(),
              result.texts.size());
  const std::string key(python_strip(row.get<std::string>("answerKey")));
  const auto found = std::find(labels.begin(), labels.end(), key);
  MOREX_CHECK(found != labels.end(), ErrorKind::kData, "[{}] answerKey must be one of {}, got '{}'", row.where(),
              join(labels, ", "), key);
  result.gold = found - labels.begin();
  return result;
}

Question boolq_question(const JsonReader& row) {
  Question q;
  q.context = row.get<std::string>("passage") + "\nQuestion: " + row.get<std::string>("question") + "?\nAnswer:";
  q.choices = {"no", "yes"};
  q.gold = row.get<int64_t>("label");
  return q;
}

Question arc_easy_question(const JsonReader& row) {
  LabelledChoices choices = labelled_choices(row);
  return {"Question: " + row.get<std::string>("question") + "\nAnswer:", std::move(choices.texts), choices.gold};
}

Question openbookqa_question(const JsonReader& row) {
  LabelledChoices choices = labelled_choices(row);
  return {row.get<std::string>("question_stem"), std::move(choices.texts), choices.gold};
}

Question commonsense_qa_question(const JsonReader& row) {
  const LabelledChoices choices = labelled_choices(row);
  MOREX_CHECK(choices.texts.size() == 5, ErrorKind::kData, "[{}] choices must be five, got {}", row.where(),
              choices.texts.size());
  Question q;
  q.context = "Question: " + std::string(python_strip(row.get<std::string>("question")));
  for (size_t i = 0; i < choices.texts.size(); ++i) {
    q.choices.push_back(letter(static_cast<int64_t>(i)));
    q.context += "\n" + q.choices.back() + ". " + choices.texts[i];
  }
  q.context += "\nAnswer:";
  q.gold = choices.gold;
  return q;
}

}  // namespace

const std::vector<ChoiceTask>& choice_tasks() {
  static const std::vector<ChoiceTask> tasks = {
      {"boolq", "2.0", "{passage}\nQuestion: {question}?\nAnswer:", "icl_boolq.jsonl", true, boolq_row, boolq_question},
      {"arc_easy", "1.0", "Question: {question}\nAnswer:", "icl_arc_easy.jsonl", false, arc_easy_row,
       arc_easy_question},
      {"openbookqa", "1.0", "{question_stem}", "icl_openbook_qa.jsonl", false, openbookqa_row, openbookqa_question},
      {"commonsense_qa", "", "Question: {question}\nA. {}\nB. {}\nC. {}\nD. {}\nE. {}\nAnswer:", "csqa_valid.jsonl",
       true, commonsense_qa_row, commonsense_qa_question},
  };
  return tasks;
}

const ChoiceTask& find_choice_task(const std::string& name) {
  std::vector<std::string> names;
  for (const ChoiceTask& task : choice_tasks()) {
    if (task.name == name) return task;
    names.emplace_back(task.name);
  }
  fail(ErrorKind::kConfig, "[eval] the task must be one of {}, got '{}'.{}", join(names, ", "), name,
       did_you_mean(name, names));
}

std::vector<Document> load_documents(const ChoiceTask& task, const std::filesystem::path& file, int64_t limit) {
  io::JsonlReader reader(file);
  std::vector<Document> documents;
  Json row;
  while ((limit < 0 || static_cast<int64_t>(documents.size()) < limit) && reader.next(row)) {
    const std::string where = file.string() + ":" + std::to_string(reader.line_number());
    Document document;
    document.row = task.hub_row(row, where);
    document.question = task.question(JsonReader(document.row, where, ErrorKind::kData));
    const Question& question = document.question;
    MOREX_CHECK(question.gold >= 0 && question.gold < static_cast<int64_t>(question.choices.size()), ErrorKind::kData,
                "[{}] the right answer must be one of {} choices, got index {}", where, question.choices.size(),
                question.gold);
    MOREX_CHECK(std::find(question.choices.begin(), question.choices.end(), "") == question.choices.end(),
                ErrorKind::kData, "[{}] no choice may be empty", where);
    documents.push_back(std::move(document));
  }
  MOREX_CHECK(!documents.empty() || limit == 0, ErrorKind::kData, "[{}] the file must hold at least one row, got none",
              file.string());
  return documents;
}

}  // namespace morex::eval
