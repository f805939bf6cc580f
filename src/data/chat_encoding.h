// A conversation to ids and labels, with the model's chat template.
#pragma once
#include <string>

#include "base/json.h"
#include "base/warnings.h"
#include "data/dataset.h"
#include "data/example.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace morex::data {

// Renders the whole conversation, encodes it without special tokens of the tokenizer's own, and supervises what the
// template marks as generation, else every assistant turn: what its rendering adds to the rendering of the messages
// before it with the generation prompt, up to its end-of-turn token. Cut right at max_seq_length; what follows the last
// supervised id is dropped. Throws Error(kData) with `where` in front when a shorter rendering does not begin the
// longer.
Example encode_chat(const OrderedJson& messages, const text::ChatTemplate& chat_template,
                    const text::Tokenizer& tokenizer, const DatasetOptions& options, const std::string& where,
                    Warnings& warnings);

}  // namespace morex::data
