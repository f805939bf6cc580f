// A JSONL file as tokenised examples.
#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/warnings.h"
#include "data/example.h"
#include "text/tokenizer.h"

namespace morex::data {

struct DatasetOptions {
  std::string format = "auto";  // auto (by the first line's keys), alpaca, messages, completion, text
  int64_t max_seq_length = 1024;
  std::string truncation = "concat";  // concat: prompt and response encoded apart, both cut by the shared rule;
                                      // whole_text: encoded together, cut right. Messages and text are cut right
  bool train_on_inputs = false;       // also supervise the prompt
  bool train_on_eos = true;           // the response ends with EOS (or the template's end of turn) and learns it
  int64_t max_rows = -1;              // the first n rows only; -1: all
  int64_t file = 0;                   // SequenceFacts::file of its rows
  // Columns for methods that need to know more of a row than its text. Wanted, every row must have them.
  std::string task_column = "task", sample_type_column = "sample_type";
  bool wants_task = false, wants_sample_type = false;
  std::string fixed_task;     // when given, the task of every row, whatever its column says
  std::string fallback_task;  // when given, the task of rows without the column
};

struct DatasetReport {
  int64_t rows = 0;  // read, before fully masked ones are left out
  int64_t truncated = 0, cut_tokens = 0;
  int64_t end_cut = 0;  // rows whose EOS or end of turn fell to truncation
  int64_t fully_masked = 0;
  int64_t tokens = 0, supervised = 0;  // of the rows that are kept
  std::string digest;                  // SHA-256 of the file
};

struct Dataset {
  std::vector<Example> examples;
  DatasetReport report;
};

// Reads, renders, tokenises and masks every row. What is supervised: alpaca and completion the response, messages each
// assistant turn with its end-of-turn token, text everything. Warnings, counted by row: data.truncated, data.end_cut,
// data.fully_masked, data.no_end_of_turn. Rows with nothing left to supervise are a counted warning and left
// out; a file in which no row is left is Error(kData). Errors name FILE:LINE and the key.
Dataset load_dataset(const std::filesystem::path& path, const text::Tokenizer& tokenizer, const DatasetOptions& options,
                     Warnings& warnings);

// What one row becomes (for `inspect data`): ids, labels and the prompt's text; `where` ("FILE:LINE") leads its errors.
// Throws Error(kData): missing keys, other types than text, a chat template that refuses the messages.
Example encode_row(const Json& row, const text::Tokenizer& tokenizer, const DatasetOptions& options,
                   const std::string& where);

}  // namespace morex::data
