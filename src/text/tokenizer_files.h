// Writing a tokenizer as the files of a Hugging Face model folder.
#pragma once
#include <filesystem>
#include <string>

namespace morex::text {

// "" when `source` (a model folder, a .gguf file, or a tokenizer file) has a tokenizer that write_tokenizer_files() can
// write, else the reason.
std::string why_no_tokenizer_files(const std::filesystem::path& source);

// The tokenizer's files of `source`, and generation_config.json: copied from its folder, or made from a .gguf file's
// vocabulary. Throws Error(kConfig) for a .gguf tokenizer that cannot be written as tokenizer.json.
void write_tokenizer_files(const std::filesystem::path& source, const std::filesystem::path& folder);

}  // namespace morex::text
