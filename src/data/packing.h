// Packing: several examples in one row, kept apart by positions and segments.
#pragma once
#include <cstdint>
#include <vector>

#include "data/example.h"

namespace morex::data {

// One row of several examples. Attention must stay inside a segment.
struct PackedRow {
  std::vector<int64_t> ids, labels;   // the first label of each segment is kIgnoreLabel: nothing before it predicts it
  std::vector<int64_t> position_ids;  // restart at 0 with each segment
  std::vector<int64_t> segment_ids;   // 0, 0, …, 1, 1, …
  std::vector<int64_t> boundaries;    // start of each segment, then the row's length ("cu_seqlens")
  std::vector<int64_t> examples;      // index of each segment in the dataset
  std::vector<SequenceFacts> facts;   // of each segment
};

PackedRow pack(const std::vector<Example>& examples, const std::vector<int64_t>& rows);

enum class PackingOrder { kGiven, kDecreasing };

// First fit: each item goes into the first bin that has room, in the given order or longest first (equals in the given
// order). Bins hold item indices in order of arrival. Throws Error(kConfig) for an item above the capacity.
std::vector<std::vector<int64_t>> first_fit(const std::vector<int64_t>& lengths, int64_t capacity, PackingOrder order);

}  // namespace morex::data
