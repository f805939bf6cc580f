// Reads a tokenizer.json.
#pragma once
#include <filesystem>

#include "text/tokenizer_spec.h"

namespace morex::text {

// Throws Error(kFormat) naming the file and the part that is broken or not supported. Models of type BPE and
// WordPiece. Truncation and padding in the file are the caller's business here, as they are in the reference's model
// classes.
TokenizerSpec read_tokenizer_json(const std::filesystem::path& path);

}  // namespace morex::text
