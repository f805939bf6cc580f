// What the rows of a file ask, for a sentence encoder: no tokenizer and no template is needed.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "base/sequence_facts.h"

namespace morex::data {

// question and row of every row, as load_dataset finds them. `format` as in DatasetOptions. Throws Error(kData) naming
// FILE:LINE for a row without a prompt, or a file without rows.
std::vector<SequenceFacts> load_questions(const std::filesystem::path& path, const std::string& format);

}  // namespace morex::data
