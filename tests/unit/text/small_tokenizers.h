// Small tokenizers for tests, written to files as a user would have them.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "base/json.h"

namespace morex::text::test {

// A byte-level tokenizer.json: all 256 letters, the given merges ("Ġ t", …) and their tokens, <|end|> as special token.
Json byte_level_json(const std::vector<std::string>& merges);
// A SentencePiece-style tokenizer.json with byte fallback: <unk>, <s>, </s>, 256 byte tokens, then `pieces`.
Json sentence_piece_json(const std::vector<std::string>& pieces, const std::vector<std::string>& merges);

void write_json(const std::filesystem::path& path, const Json& json);

// Writes a GGUF file that holds metadata only.
using GgufEntry =
    std::variant<std::string, uint32_t, bool, std::vector<std::string>, std::vector<float>, std::vector<int32_t>>;
void write_gguf(const std::filesystem::path& path, const std::map<std::string, GgufEntry>& metadata);

}  // namespace morex::text::test
