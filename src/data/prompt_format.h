// What the rows of each JSONL format say, before any tokenizer sees them.
#pragma once
#include <string>

#include "base/json.h"

namespace morex::data {

enum class Format { kAlpaca, kCompletion, kText, kMessages };

// The format by its name; "auto" decides by the row's keys. Throws Error(kConfig) for an unknown name, Error(kData)
// when the keys are of no known format.
Format choose_format(const std::string& name, const Json& row, const std::string& where);

struct PromptResponse {
  std::string prompt, response;
  std::string question{};  // what is asked, without the template
};

// alpaca: instruction and optional input in Alpaca's template, output. completion: prompt, completion or response.
// Throws Error(kData) naming the key that is missing or no text.
PromptResponse read_alpaca(const Json& row, const std::string& where);
PromptResponse read_completion(const Json& row, const std::string& where);

// text: the value of the key text.
std::string read_text(const Json& row, const std::string& where);

// messages: the list, each with a known role and text as content. Throws Error(kData) naming index and key.
OrderedJson read_messages(const Json& row, const std::string& where);

// What is asked in a conversation: the texts of its user, one a line. Throws Error(kData) for content that is no text.
std::string user_text(const OrderedJson& messages);
// What a row asks, without any template: alpaca's instruction and input, the prompt, or what the user says before the
// first answer. Throws Error(kData) as the readers do, and for rows of format text, which ask nothing.
std::string read_question(const Json& row, Format format, const std::string& where);

}  // namespace morex::data
