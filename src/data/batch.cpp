#include "data/batch.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"

namespace morex::data {

int64_t Batch::tokens() const { return std::accumulate(lengths.begin(), lengths.end(), int64_t{0}); }

std::vector<int64_t> Batch::prompt(int64_t row) const {
  const auto first = ids.begin() + row * length;
  return {first, first + prompt_lengths[static_cast<size_t>(row)]};
}

int64_t Batch::supervised() const {
  int64_t count = 0;
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t at = 1; at < length; ++at) count += labels[static_cast<size_t>(row * length + at)] != kIgnoreLabel;
  return count;
}

Batch make_batch(const std::vector<Example>& examples, const std::vector<int64_t>& rows, int64_t pad_id) {
  Batch batch;
  batch.rows = static_cast<int64_t>(rows.size());
  batch.examples = rows;
  for (const int64_t row : rows) {
    MOREX_ASSERT(row >= 0 && row < static_cast<int64_t>(examples.size()));
    batch.lengths.push_back(examples[static_cast<size_t>(row)].length());
    batch.prompt_lengths.push_back(examples[static_cast<size_t>(row)].prompt_length);
    batch.facts.push_back(examples[static_cast<size_t>(row)].facts);
    batch.length = std::max(batch.length, batch.lengths.back());
  }
  const auto cells = static_cast<size_t>(batch.rows * batch.length);
  batch.ids.assign(cells, pad_id);
  batch.labels.assign(cells, kIgnoreLabel);
  for (int64_t i = 0; i < batch.rows; ++i) {
    const Example& example = examples[static_cast<size_t>(rows[static_cast<size_t>(i)])];
    std::copy(example.ids.begin(), example.ids.end(), batch.ids.begin() + i * batch.length);
    std::copy(example.labels.begin(), example.labels.end(), batch.labels.begin() + i * batch.length);
  }
  return batch;
}

}  // namespace morex::data
