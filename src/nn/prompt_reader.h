// What an adapter must know of a sequence before the model reads it, beyond its ids.
#pragma once
#include <cstdint>
#include <utility>
#include <vector>

#include "base/sequence_facts.h"
#include "nn/batch_context.h"

namespace morex::nn {

struct Prompt {
  // Not explicit: ids alone are a prompt of which nothing else is known.
  Prompt(std::vector<int64_t> its_ids, SequenceFacts its_facts = {})
      : ids(std::move(its_ids)), facts(std::move(its_facts)) {}

  std::vector<int64_t> ids;  // of the sequence up to its first answer
  SequenceFacts facts;
};

class PromptReader {
 public:
  virtual ~PromptReader() = default;
  // Adds to ctx.per_sequence, one row for each prompt in its order. A function of each prompt alone: what else stands
  // in the batch does not change a bit of it. May run the model, so it must not be called from within a forward pass.
  virtual void read(const std::vector<Prompt>& prompts, BatchContext& ctx) const = 0;
};

}  // namespace morex::nn
