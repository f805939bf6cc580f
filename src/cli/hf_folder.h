// Writing the files of a Hugging Face model folder that are not weights.
#pragma once
#include <filesystem>
#include <string>

#include "models/model_config.h"

namespace morex::cli {

// config.json: as the base brought it, or made from a .gguf file's metadata. Throws Error(kConfig) for what a
// config.json cannot say.
void write_config(const models::ModelConfig& config, const std::string& dtype, const std::filesystem::path& folder);

// The tokenizer's files: copied from a folder, or made from a .gguf file's vocabulary. Throws Error(kConfig) for a
// .gguf tokenizer that cannot be written as tokenizer.json.
void write_tokenizer_files(const std::filesystem::path& model, const std::filesystem::path& folder);

}  // namespace morex::cli
