// What stands beside a tokenizer: names of special tokens, further added tokens, the chat template.
#pragma once
#include <filesystem>
#include <string>

#include "text/tokenizer_spec.h"

namespace morex::text {

// Reads tokenizer_config.json, special_tokens_map.json and chat_template.jinja of `folder` into
// `spec`; all of them may be missing. Tokens of added_tokens_decoder are added, or replace the file's own entry.
// Throws Error(kFormat) naming file and key.
void read_tokenizer_config(const std::filesystem::path& folder, TokenizerSpec& spec);

// The `tokenizer_class` of the folder's tokenizer_config.json, "" when there is none.
std::string tokenizer_class(const std::filesystem::path& folder);

}  // namespace morex::text
