#include "eval/python_random.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace morex::eval {
namespace {

using Values = std::vector<int64_t>;

TEST(PythonRandom, WordsAreCPythons) {
  PythonRandom small(1234), zero(0), wide((uint64_t{1} << 40) + 7);
  for (const uint32_t word : {4150886329u, 3342196574u, 1892932127u, 501869158u, 32175636u})
    EXPECT_EQ(small.next(), word);
  for (const uint32_t word : {3626764237u, 1654615998u, 3255389356u}) EXPECT_EQ(zero.next(), word);
  for (const uint32_t word : {2635837658u, 3209733218u, 3500038837u}) EXPECT_EQ(wide.next(), word);
}

// random.Random(1234): both ways of drawing, on either side of each border (21; 85 for six values).
TEST(PythonRandom, SamplesAreCPythons) {
  PythonRandom random(1234);
  EXPECT_EQ(random.sample(16, 4), Values({14, 1, 0, 15}));
  EXPECT_EQ(random.sample(1000, 5), Values({932, 965, 961, 826, 596}));
  EXPECT_EQ(random.sample(30, 10), Values({1, 21, 22, 2, 3, 24, 11, 7, 0, 28}));
  EXPECT_EQ(random.sample(21, 3), Values({0, 11, 15}));
  EXPECT_EQ(random.sample(22, 3), Values({19, 14, 4}));
}

TEST(PythonRandom, SamplesOfAWideSeedAreCPythons) {
  PythonRandom random((uint64_t{1} << 40) + 7);
  EXPECT_EQ(random.sample(100000, 6), Values({80439, 97953, 83823, 74762, 92483, 62380}));
  EXPECT_EQ(random.sample(85, 6), Values({32, 78, 16, 66, 48, 81}));
  EXPECT_EQ(random.sample(86, 6), Values({46, 50, 56, 57, 47, 28}));
}

TEST(PythonRandom, AWholePopulationIsAPermutation) {
  PythonRandom random(3);
  Values all = random.sample(12, 12);
  std::sort(all.begin(), all.end());
  EXPECT_EQ(all, Values({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}));
  EXPECT_TRUE(random.sample(5, 0).empty());
}

}  // namespace
}  // namespace morex::eval
