// Batches: which examples make one, in which order, and their rectangular form.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "data/example.h"

namespace morex::data {

// A right-padded grid, row-major [rows, length]. Padding: id pad_id, label kIgnoreLabel.
struct Batch {
  int64_t rows = 0, length = 0;
  std::vector<int64_t> ids, labels;
  std::vector<int64_t> lengths;   // real tokens of each row
  std::vector<int64_t> examples;  // index of each row in the dataset
  std::vector<int64_t> prompt_lengths;
  std::vector<SequenceFacts> facts;                // of each row
  std::vector<int64_t> prompt(int64_t row) const;  // its ids
  int64_t tokens() const;                          // real tokens
  int64_t supervised() const;                      // targets: labels[r, 1:] that are not kIgnoreLabel
};

Batch make_batch(const std::vector<Example>& examples, const std::vector<int64_t>& rows, int64_t pad_id);

// The order of one epoch as a function of (seed, epoch) alone: example indices of each micro-batch. Grouped by length:
// examples are shuffled, split into windows of many batches, sorted by length inside a window, cut into batches, and
// the batches shuffled. Every example stands exactly once; the last batch may be smaller.
struct BatchPlanOptions {
  int64_t batch_size = 8;
  bool group_by_length = true;
  bool shuffle = true;
  uint64_t seed = 0;
};
std::vector<std::vector<int64_t>> plan_epoch(const std::vector<Example>& examples, const BatchPlanOptions& options,
                                             int64_t epoch);
// SHA-256 over the plan: names the data order in run.json.
std::string plan_digest(const std::vector<std::vector<int64_t>>& plan);

}  // namespace morex::data
