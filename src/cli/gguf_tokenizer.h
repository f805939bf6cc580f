// The tokenizer inside a .gguf file as Hugging Face's files.
#pragma once
#include <filesystem>

#include "io/gguf.h"

namespace morex::cli {

// Writes tokenizer.json and tokenizer_config.json. Throws Error(kConfig) for a tokenizer that is not byte-level BPE,
// Error(kFormat) for one that is not understood.
void write_gguf_tokenizer(const io::GgufFile& file, const std::filesystem::path& folder);

}  // namespace morex::cli
