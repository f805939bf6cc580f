// What a row says of itself besides its text.
#pragma once
#include <string>

#include "base/json.h"
#include "base/sequence_facts.h"
#include "data/dataset.h"

namespace morex::data {

// Fills task and sample_type from the columns that the options want. A task is a text or a whole number. Throws
// Error(kData) naming row and column when a wanted column is missing or holds something else.
void read_columns(const Json& row, const DatasetOptions& options, const std::string& where, SequenceFacts& facts);

}  // namespace morex::data
