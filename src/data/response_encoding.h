// Prompt and response to ids and labels, by the two rules in use.
#pragma once
#include <cstdint>
#include <string>
#include <utility>

#include "data/dataset.h"
#include "data/prompt_format.h"

namespace morex::data {

// How many ids of a prompt of s and a response of t ids are kept when both share `cutoff`: a short side is kept whole,
// else each gives in proportion. Returns {s', t'}; both keep their heads.
std::pair<int64_t, int64_t> shared_cut(int64_t s, int64_t t, int64_t cutoff);

// options.truncation "concat": prompt (with the tokenizer's prefix) and response are encoded apart, EOS appended to the
// response, both cut by shared_cut. "whole_text": encoded together, cut right, EOS appended if there is room; the mask
// is as long as the prompt encoded alone.
Example encode_response(const PromptResponse& text, const text::Tokenizer& tokenizer, const DatasetOptions& options);

// Everything supervised: encoded with the tokenizer's prefix, cut right, EOS appended if there is room.
Example encode_text(const std::string& text, const text::Tokenizer& tokenizer, const DatasetOptions& options);

}  // namespace morex::data
