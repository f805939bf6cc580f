// One row of a dataset to ids and labels.
#pragma once
#include <optional>
#include <string>

#include "data/dataset.h"
#include "data/example.h"
#include "data/prompt_format.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace morex::data {

class RowEncoder {
 public:
  // Throws Error(kConfig) for options that cannot work.
  RowEncoder(const text::Tokenizer& tokenizer, const DatasetOptions& options);

  // With format "auto" the first row decides for all. Adds data.no_end_of_turn to `warnings` where that holds.
  Example encode(const Json& row, const std::string& where, Warnings& warnings);

 private:
  Example encode_text_of(const Json& row, const std::string& where, Warnings& warnings);

  const text::Tokenizer& tokenizer_;
  DatasetOptions options_;
  std::optional<Format> format_;
  std::optional<text::ChatTemplate> chat_template_;
};

}  // namespace morex::data
