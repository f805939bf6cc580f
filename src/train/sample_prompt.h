// A sample prompt as the training data would have put it.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "text/tokenizer.h"

namespace morex::train {

// Ids of `prompt` in the form of the training rows: Alpaca's template, a user's turn of the chat template, or as it
// stands. With format auto the first row of `train_file` decides.
std::vector<int64_t> encode_sample_prompt(const std::string& prompt, const std::filesystem::path& train_file,
                                          const data::DatasetOptions& options, const text::Tokenizer& tokenizer);

}  // namespace morex::train
