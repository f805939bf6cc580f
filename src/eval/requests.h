// From context and choices to ids, by lm-evaluation-harness's rules.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/sequence_facts.h"
#include "text/tokenizer.h"

namespace morex::eval {

// One continuation to score: what the model reads, and the ids it must predict at the last positions of it.
struct Request {
  std::vector<int64_t> input;         // context + continuation without the last id, cut on the left
  std::vector<int64_t> continuation;  // may be empty
  int64_t cut_left = 0;               // ids removed on the left
  bool border_moved = false;          // ids of the joint text do not start with those of the context
  SequenceFacts facts;                // of the context
};

struct ChoiceRequests {
  std::vector<int64_t> context_ids;  // before any cut
  std::vector<Request> choices;
};

// Blanks at the end of the context move to the continuation, which is delimiter (one blank) + choice; both the joint
// text and the context are encoded with the tokenizer's special tokens, and the continuation is what is longer. Text
// that starts with the BOS string gets no second BOS; an empty context is the BOS (else the EOS) id. The model reads
// at most max_length ids. Throws Error(kData) when a continuation alone is longer than that.
ChoiceRequests make_requests(const text::Tokenizer& tokenizer, const std::string& context,
                             const std::vector<std::string>& choices, int64_t max_length);

}  // namespace morex::eval
