#include "data/batch.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "unit/io/io_test_support.h"

namespace morex::data {
namespace {

Example of_length(int64_t length) {
  Example example;
  for (int64_t i = 0; i < length; ++i) {
    example.ids.push_back(100 + i);
    example.labels.push_back(i < 2 ? kIgnoreLabel : 100 + i);
  }
  return example;
}

std::vector<Example> of_lengths(const std::vector<int64_t>& lengths) {
  std::vector<Example> examples;
  for (const int64_t length : lengths) examples.push_back(of_length(length));
  return examples;
}

TEST(Batch, rows_are_padded_right) {
  const Batch batch = make_batch(of_lengths({4, 9, 3}), {2, 0}, 7);
  EXPECT_EQ(batch.rows, 2);
  EXPECT_EQ(batch.length, 4);
  EXPECT_EQ(batch.ids, (std::vector<int64_t>{100, 101, 102, 7, 100, 101, 102, 103}));
  EXPECT_EQ(batch.labels, (std::vector<int64_t>{-100, -100, 102, -100, -100, -100, 102, 103}));
  EXPECT_EQ(batch.lengths, (std::vector<int64_t>{3, 4}));
  EXPECT_EQ(batch.examples, (std::vector<int64_t>{2, 0}));
  EXPECT_EQ(batch.tokens(), 7);
  EXPECT_EQ(batch.supervised(), 3);
}

TEST(Batch, a_first_label_is_no_target) {
  Example example;
  example.ids = example.labels = {5};
  EXPECT_EQ(example.supervised(), 0);
  EXPECT_EQ(make_batch({example}, {0}, 0).supervised(), 0);
  EXPECT_EQ(Example{}.supervised(), 0);
}

TEST(BatchPlan, without_shuffle_and_grouping_is_the_file_order) {
  BatchPlanOptions options;
  options.batch_size = 2;
  options.shuffle = options.group_by_length = false;
  EXPECT_EQ(plan_epoch(of_lengths({1, 2, 3, 4, 5}), options, 0),
            (std::vector<std::vector<int64_t>>{{0, 1}, {2, 3}, {4}}));
  EXPECT_TRUE(plan_epoch({}, options, 0).empty());
}

TEST(BatchPlan, grouping_saves_padding) {
  std::vector<int64_t> lengths;
  for (int64_t i = 0; i < 1000; ++i) lengths.push_back(1 + i * 7919 % 501);
  const std::vector<Example> examples = of_lengths(lengths);
  const auto padded = [&](bool group) {
    BatchPlanOptions options;
    options.group_by_length = group;
    int64_t cells = 0;
    for (const auto& rows : plan_epoch(examples, options, 0)) {
      const Batch batch = make_batch(examples, rows, 0);
      cells += batch.rows * batch.length;
    }
    return cells;
  };
  EXPECT_LT(static_cast<double>(padded(true)), 0.65 * static_cast<double>(padded(false)));
}

TEST(BatchPlan, the_smaller_batch_is_last) {
  BatchPlanOptions options;
  options.batch_size = 4;
  const auto plan = plan_epoch(of_lengths(std::vector<int64_t>(203, 5)), options, 1);
  ASSERT_EQ(plan.size(), 51u);
  for (size_t i = 0; i + 1 < plan.size(); ++i) EXPECT_EQ(plan[i].size(), 4u);
  EXPECT_EQ(plan.back().size(), 3u);
}

TEST(BatchPlan, seed_and_epoch_change_the_order) {
  const std::vector<Example> examples = of_lengths(std::vector<int64_t>(100, 5));
  BatchPlanOptions options;
  const std::string digest = plan_digest(plan_epoch(examples, options, 0));
  EXPECT_EQ(plan_digest(plan_epoch(examples, options, 0)), digest);
  EXPECT_NE(plan_digest(plan_epoch(examples, options, 1)), digest);
  options.seed = 1;
  EXPECT_NE(plan_digest(plan_epoch(examples, options, 0)), digest);
}

TEST(BatchPlan, digest_tells_the_batches_apart) {
  EXPECT_NE(plan_digest({{0, 1}, {2}}), plan_digest({{0}, {1, 2}}));
  EXPECT_NE(plan_digest({{0, 1}}), plan_digest({{1, 0}}));
}

TEST(BatchPlan, an_empty_batch_size_is_refused) {
  BatchPlanOptions options;
  options.batch_size = 0;
  EXPECT_NE(test::error_of([&] { plan_epoch({}, options, 0); }).find("batch size"), std::string::npos);
}

}  // namespace
}  // namespace morex::data
