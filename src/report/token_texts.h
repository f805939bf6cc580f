// The text that each token of a sequence adds, as the tokenizer decodes it.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "text/tokenizer.h"

namespace morex::report {

// One valid UTF-8 text for each id, special tokens included. A character that several tokens make stands at the last of
// them, the others are empty.
std::vector<std::string> token_texts(const std::shared_ptr<const text::Tokenizer>& tokenizer,
                                     const std::vector<int64_t>& ids);

}  // namespace morex::report
