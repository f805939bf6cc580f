#include "data/row_encoder.h"

#include "base/error.h"
#include "data/chat_encoding.h"
#include "data/response_encoding.h"
#include "data/row_facts.h"

namespace morex::data {

RowEncoder::RowEncoder(const text::Tokenizer& tokenizer, const DatasetOptions& options)
    : tokenizer_(tokenizer), options_(options) {
  MOREX_CHECK(options.max_seq_length > 1, ErrorKind::kConfig, "[data] max_seq_length must be at least 2, got {}",
              options.max_seq_length);
  MOREX_CHECK(options.truncation == "concat" || options.truncation == "whole_text", ErrorKind::kConfig,
              "[data] truncation must be concat or whole_text, got '{}'", options.truncation);
}

Example RowEncoder::encode(const Json& row, const std::string& where, Warnings& warnings) {
  if (!format_) format_ = choose_format(options_.format, row, where);
  Example example = encode_text_of(row, where, warnings);
  if (*format_ != Format::kText) example.facts.question = read_question(row, *format_, where);
  read_columns(row, options_, where, example.facts);
  return example;
}

Example RowEncoder::encode_text_of(const Json& row, const std::string& where, Warnings& warnings) {
  switch (*format_) {
    case Format::kAlpaca:
      return encode_response(read_alpaca(row, where), tokenizer_, options_);
    case Format::kCompletion:
      return encode_response(read_completion(row, where), tokenizer_, options_);
    case Format::kText:
      return encode_text(read_text(row, where), tokenizer_, options_);
    case Format::kMessages:
      break;
  }
  if (!chat_template_) {
    MOREX_CHECK(!tokenizer_.chat_template().empty(), ErrorKind::kConfig,
                "[data] rows with messages need a chat template, the tokenizer's files hold none. Hint: use a model "
                "with one, or "
                "rows with prompt and completion.");
    chat_template_.emplace(tokenizer_.chat_template(), tokenizer_.special_tokens());
  }
  return encode_chat(read_messages(row, where), *chat_template_, tokenizer_, options_, where, warnings);
}

}  // namespace morex::data
