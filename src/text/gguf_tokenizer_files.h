// The tokenizer inside a .gguf file as Hugging Face's files.
#pragma once
#include <filesystem>
#include <string>

#include "io/gguf.h"

namespace morex::text {

// "" when the tokenizer can be written as tokenizer.json, else the reason it cannot.
std::string why_not_writable(const io::GgufFile& file);
// Writes tokenizer.json and tokenizer_config.json. Throws Error(kConfig) for a tokenizer that is not byte-level BPE,
// Error(kFormat) for one that is not understood.
void write_gguf_tokenizer(const io::GgufFile& file, const std::filesystem::path& folder);

}  // namespace morex::text
