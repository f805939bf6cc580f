// The multiple-choice tasks of the `lm-eval` protocol: from a document to a question.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"

namespace morex::eval {

struct Question {
  std::string context;
  std::vector<std::string> choices;
  int64_t gold = 0;
};

// One task. Adding one is a line in the table of choice_tasks.cpp and the functions it names.
struct ChoiceTask {
  const char* name;
  const char* version;         // of the harness's task definition; "" when it has none
  const char* prompt;          // how the context is made, for the record
  const char* local_file;      // accepted where {name}.jsonl is not there; its rows have another layout
  bool sampler_sees_document;  // few-shot draws leave the document itself out (fewshot.h)
  // A row in the local layout becomes one in the hub's; others pass unchanged. Throws Error(kData) "[FILE:LINE] …".
  Json (*hub_row)(const Json& row, const std::string& where);
  Question (*question)(const JsonReader& hub_row);
};

const std::vector<ChoiceTask>& choice_tasks();
// Throws Error(kConfig) for an unknown name, with the nearest known one.
const ChoiceTask& find_choice_task(const std::string& name);

struct Document {
  Json row;  // hub layout
  Question question;
};

// The rows of a JSONL file, the first `limit` of them (-1: all). Throws Error(kData) naming file, line and column.
std::vector<Document> load_documents(const ChoiceTask& task, const std::filesystem::path& file, int64_t limit = -1);

}  // namespace morex::eval
