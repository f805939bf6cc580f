// Reads the older pair of files: vocab.json and merges.txt.
#pragma once
#include <filesystem>

#include "text/tokenizer_spec.h"

namespace morex::text {

// The rules are those of the class that tokenizer_config.json names: GPT-2's (also without a name) or Qwen2's. Throws
// Error(kFormat) for another class and for broken files.
TokenizerSpec read_vocab_and_merges(const std::filesystem::path& folder);

}  // namespace morex::text
