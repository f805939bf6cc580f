#include "data/packing.h"

#include <algorithm>
#include <bit>
#include <numeric>

#include "base/error.h"

namespace morex::data {
namespace {

// The room left in each bin, with the largest room of every subtree: finds the first bin that fits in O(log n).
class Rooms {
 public:
  Rooms(size_t bins, int64_t capacity)
      : leaves_(std::bit_ceil(std::max<size_t>(bins, 1))), room_(2 * leaves_, capacity) {}

  // Index of the first bin with room for `length`, after taking it.
  size_t take(int64_t length) {
    size_t node = 1;
    while (node < leaves_) node = room_[2 * node] >= length ? 2 * node : 2 * node + 1;
    const size_t bin = node - leaves_;
    room_[node] -= length;
    for (node /= 2; node > 0; node /= 2) room_[node] = std::max(room_[2 * node], room_[2 * node + 1]);
    return bin;
  }

 private:
  size_t leaves_;
  std::vector<int64_t> room_;  // a complete binary tree, root at 1
};

}  // namespace

PackedRow pack(const std::vector<Example>& examples, const std::vector<int64_t>& rows) {
  PackedRow packed;
  packed.examples = rows;
  packed.boundaries = {0};
  for (size_t segment = 0; segment < rows.size(); ++segment) {
    const Example& example = examples[static_cast<size_t>(rows[segment])];
    const auto start = static_cast<std::ptrdiff_t>(packed.ids.size());
    packed.ids.insert(packed.ids.end(), example.ids.begin(), example.ids.end());
    packed.labels.insert(packed.labels.end(), example.labels.begin(), example.labels.end());
    if (example.length() > 0) packed.labels[static_cast<size_t>(start)] = kIgnoreLabel;
    packed.position_ids.resize(packed.ids.size());
    std::iota(packed.position_ids.begin() + start, packed.position_ids.end(), int64_t{0});
    packed.segment_ids.resize(packed.ids.size(), static_cast<int64_t>(segment));
    packed.boundaries.push_back(static_cast<int64_t>(packed.ids.size()));
    packed.facts.push_back(example.facts);
  }
  return packed;
}

std::vector<std::vector<int64_t>> first_fit(const std::vector<int64_t>& lengths, int64_t capacity, PackingOrder order) {
  std::vector<int64_t> items(lengths.size());
  std::iota(items.begin(), items.end(), int64_t{0});
  const auto length_of = [&](int64_t item) { return lengths[static_cast<size_t>(item)]; };
  if (order == PackingOrder::kDecreasing)
    std::stable_sort(items.begin(), items.end(), [&](int64_t a, int64_t b) { return length_of(a) > length_of(b); });
  Rooms rooms(lengths.size(), capacity);
  std::vector<std::vector<int64_t>> bins;
  for (const int64_t item : items) {
    MOREX_CHECK(length_of(item) >= 0 && length_of(item) <= capacity, ErrorKind::kConfig,
                "[packing] an example must fit a row of {} tokens, got {}", capacity, length_of(item));
    const size_t bin = rooms.take(length_of(item));
    if (bin >= bins.size()) bins.resize(bin + 1);
    bins[bin].push_back(item);
  }
  return bins;
}

}  // namespace morex::data
