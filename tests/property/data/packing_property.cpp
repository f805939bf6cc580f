#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>

#include "data/packing.h"

namespace morex::data {
namespace {

// First fit as its definition says it, in quadratic time.
std::vector<std::vector<int64_t>> plain_first_fit(const std::vector<int64_t>& lengths, int64_t capacity) {
  std::vector<std::vector<int64_t>> bins;
  std::vector<int64_t> room;
  for (size_t item = 0; item < lengths.size(); ++item) {
    size_t bin = 0;
    while (bin < bins.size() && room[bin] < lengths[item]) ++bin;
    if (bin == bins.size()) {
      bins.emplace_back();
      room.push_back(capacity);
    }
    bins[bin].push_back(static_cast<int64_t>(item));
    room[bin] -= lengths[item];
  }
  return bins;
}

TEST(PackingProperty, equals_the_plain_algorithm) {
  const bool holds = rc::check([] {
    const auto capacity = *rc::gen::inRange<int64_t>(1, 40);
    const auto lengths = *rc::gen::container<std::vector<int64_t>>(rc::gen::inRange<int64_t>(0, capacity + 1));
    RC_ASSERT(first_fit(lengths, capacity, PackingOrder::kGiven) == plain_first_fit(lengths, capacity));
  });
  EXPECT_TRUE(holds);
}

}  // namespace
}  // namespace morex::data
