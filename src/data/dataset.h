// A JSONL file as tokenised examples.
#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/warnings.h"
#include "data/example.h"
#include "text/tokenizer.h"

namespace morex::data {

struct DatasetOptions {
  std::string format = "auto";        // auto (by the first line's keys), alpaca, messages, completion
  int64_t max_seq_length = 1024;
  std::string truncation = "concat";  // concat: prompt and response cut by the shared rule; whole_text: cut right
  bool train_on_inputs = false;       // also supervise the prompt
  bool train_on_eos = true;           // the response ends with EOS (or the template's end of turn) and learns it
  int64_t max_rows = -1;              // the first n rows only; -1: all
};

struct DatasetReport {
  int64_t rows = 0, truncated = 0, cut_tokens = 0, fully_masked = 0, tokens = 0, supervised = 0;
  std::string digest;                 // SHA-256 of the file
};

struct Dataset {
  std::vector<Example> examples;
  DatasetReport report;
};

// Reads, renders, tokenises and masks every row. Rows with nothing left to supervise are a counted warning and left
// out; a file in which no row is left is Error(kData). Errors name FILE:LINE and the key.
Dataset load_dataset(const std::filesystem::path& path, const text::Tokenizer& tokenizer, const DatasetOptions& options,
                     Warnings& warnings);

// What one row becomes (for `inspect data`): the rendered text, ids and labels.
Example encode_row(const Json& row, const text::Tokenizer& tokenizer, const DatasetOptions& options,
                   const std::string& where);

}  // namespace morex::data
