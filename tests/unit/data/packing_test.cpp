#include "data/packing.h"

#include <gtest/gtest.h>

#include "unit/io/io_test_support.h"

namespace morex::data {
namespace {

using Bins = std::vector<std::vector<int64_t>>;

TEST(Packing, first_fit_by_hand) {
  EXPECT_EQ(first_fit({5, 7, 3, 2, 1}, 10, PackingOrder::kGiven), (Bins{{0, 2, 3}, {1, 4}}));
  EXPECT_EQ(first_fit({3, 7, 3, 10}, 10, PackingOrder::kDecreasing), (Bins{{3}, {1, 0}, {2}}));
  EXPECT_TRUE(first_fit({}, 10, PackingOrder::kGiven).empty());
  EXPECT_EQ(first_fit({10, 10}, 10, PackingOrder::kGiven), (Bins{{0}, {1}}));
  EXPECT_EQ(first_fit({0, 0}, 10, PackingOrder::kGiven), (Bins{{0, 1}}));
}

TEST(Packing, an_item_above_the_capacity_is_refused) {
  EXPECT_NE(test::error_of([] { first_fit({11}, 10, PackingOrder::kGiven); }).find("11"), std::string::npos);
}

TEST(Packing, segments_are_kept_apart) {
  Example a;
  a.ids = a.labels = {1, 2, 3};
  Example b;
  b.ids = {4, 5};
  b.labels = {kIgnoreLabel, 5};
  const PackedRow row = pack({a, b}, {1, 0});
  EXPECT_EQ(row.ids, (std::vector<int64_t>{4, 5, 1, 2, 3}));
  EXPECT_EQ(row.labels, (std::vector<int64_t>{-100, 5, -100, 2, 3}));
  EXPECT_EQ(row.position_ids, (std::vector<int64_t>{0, 1, 0, 1, 2}));
  EXPECT_EQ(row.segment_ids, (std::vector<int64_t>{0, 0, 1, 1, 1}));
  EXPECT_EQ(row.boundaries, (std::vector<int64_t>{0, 2, 5}));
  EXPECT_EQ(row.examples, (std::vector<int64_t>{1, 0}));
}

}  // namespace
}  // namespace morex::data
