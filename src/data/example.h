// One training example: the ids a model sees and which of them it is trained to predict.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/sequence_facts.h"

namespace morex::data {

inline constexpr int64_t kIgnoreLabel = -100;

struct Example {
  std::vector<int64_t> ids;
  std::vector<int64_t> labels;  // same length; kIgnoreLabel where not supervised; labels[t] is the id at t itself
  int64_t line = 0;             // line of the source file, from 1
  int64_t cut_tokens = 0;       // ids that truncation removed
  bool end_cut = false;         // the EOS or the end of a turn that was to be learned is among them
  std::string prompt_text;      // template included, for inspection
  int64_t prompt_length = 0;    // ids before the first response; 0: a text without prompt
  SequenceFacts facts;
  int64_t length() const { return static_cast<int64_t>(ids.size()); }
  int64_t supervised() const;  // targets: labels[1:] that are not kIgnoreLabel
};

}  // namespace morex::data
