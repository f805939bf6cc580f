#include "base/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace morex {
namespace {

TEST(Random, philox_gives_the_published_words) {
  // Known answers of the generator's authors.
  EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}), (std::array<uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
            (std::array<uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (std::array<uint32_t, 4>{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Random, any_part_of_a_stream_can_be_drawn_alone) {
  const RandomKey key{.seed = 7, .stream = stream_id("noise"), .step = 3};
  for (const bool normal : {false, true}) {
    std::vector<double> whole(101);
    normal ? fill_normal(key, 0, whole) : fill_uniform(key, 0, whole);
    for (const size_t offset : {1u, 2u, 50u}) {
      std::vector<double> part(whole.size() - offset);
      normal ? fill_normal(key, offset, part) : fill_uniform(key, offset, part);
      EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin() + static_cast<int64_t>(offset)));
    }
  }
  EXPECT_EQ(uniform_at(key, 17), uniform_at(key, 17));
}

TEST(Random, seed_stream_and_step_each_change_every_value) {
  const RandomKey base{.seed = 1, .stream = 2, .step = 3};
  std::set<double> seen;
  for (const RandomKey& key : {base, RandomKey{2, 2, 3}, RandomKey{1, 3, 3}, RandomKey{1, 2, 4}, RandomKey{2, 1, 3}})
    for (uint64_t i = 0; i < 20; ++i) seen.insert(uniform_at(key, i));
  EXPECT_EQ(seen.size(), 100u);
}

TEST(Random, moments_are_right) {
  std::vector<double> values(200000);
  fill_normal({.seed = 11, .stream = 1, .step = 0}, 0, values);
  double sum = 0, square = 0, fourth = 0;
  for (const double v : values) sum += v, square += v * v, fourth += v * v * v * v;
  const double n = static_cast<double>(values.size());
  EXPECT_NEAR(sum / n, 0, 5 / std::sqrt(n));
  EXPECT_NEAR(square / n, 1, 5 * std::sqrt(2 / n));
  EXPECT_NEAR(fourth / n, 3, 5 * std::sqrt(96 / n));
  fill_uniform({.seed = 11, .stream = 2, .step = 0}, 0, values);
  sum = 0;
  for (const double v : values) {
    ASSERT_GE(v, 0);
    ASSERT_LT(v, 1);
    sum += v;
  }
  EXPECT_NEAR(sum / n, 0.5, 5 * std::sqrt(1 / (12 * n)));
}

TEST(Random, permutation_holds_every_index_once_and_is_unbiased) {
  std::vector<int64_t> first_place(5);
  for (uint64_t step = 0; step < 5000; ++step) {
    std::vector<int64_t> order = permutation({.seed = 5, .stream = 9, .step = step}, 5);
    ++first_place[static_cast<size_t>(order[0])];
    std::sort(order.begin(), order.end());
    EXPECT_EQ(order, (std::vector<int64_t>{0, 1, 2, 3, 4}));
  }
  for (const int64_t count : first_place) EXPECT_NEAR(static_cast<double>(count), 1000, 150);
  EXPECT_TRUE(permutation({}, 0).empty());
}

}  // namespace
}  // namespace morex
