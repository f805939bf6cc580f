#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <numeric>

#include "data/batch.h"

namespace morex::data {
namespace {

std::vector<Example> of_lengths(const std::vector<int64_t>& lengths) {
  std::vector<Example> examples(lengths.size());
  for (size_t i = 0; i < lengths.size(); ++i) examples[i].ids.resize(static_cast<size_t>(lengths[i]));
  return examples;
}

BatchPlanOptions draw_options() {
  BatchPlanOptions options;
  options.batch_size = *rc::gen::inRange<int64_t>(1, 9);
  options.group_by_length = *rc::gen::arbitrary<bool>();
  options.shuffle = *rc::gen::arbitrary<bool>();
  options.seed = *rc::gen::arbitrary<uint64_t>();
  return options;
}

TEST(BatchPlanProperty, every_example_stands_exactly_once) {
  const bool holds = rc::check([] {
    const auto lengths =
        *rc::gen::scale(10.0, rc::gen::container<std::vector<int64_t>>(rc::gen::inRange<int64_t>(0, 50)));
    const BatchPlanOptions options = draw_options();
    const auto plan = plan_epoch(of_lengths(lengths), options, *rc::gen::inRange<int64_t>(0, 1000));
    std::vector<int64_t> seen;
    for (size_t i = 0; i < plan.size(); ++i) {
      const auto size = static_cast<int64_t>(plan[i].size());
      RC_ASSERT(size > 0 && size <= options.batch_size);
      RC_ASSERT(size == options.batch_size || i + 1 == plan.size());
      seen.insert(seen.end(), plan[i].begin(), plan[i].end());
    }
    std::sort(seen.begin(), seen.end());
    std::vector<int64_t> all(lengths.size());
    std::iota(all.begin(), all.end(), int64_t{0});
    RC_ASSERT(seen == all);
  });
  EXPECT_TRUE(holds);
}

// The order depends on seed, epoch and lengths alone: not on earlier plans, nor on what the examples say.
TEST(BatchPlanProperty, plans_are_reproducible) {
  const bool holds = rc::check([] {
    const auto lengths = *rc::gen::container<std::vector<int64_t>>(rc::gen::inRange<int64_t>(0, 50));
    const BatchPlanOptions options = draw_options();
    const auto epoch = *rc::gen::inRange<int64_t>(0, 1000);
    const auto plan = plan_epoch(of_lengths(lengths), options, epoch);
    plan_epoch(of_lengths(lengths), options, epoch + 1);
    std::vector<Example> others = of_lengths(lengths);
    for (Example& example : others) {
      std::fill(example.ids.begin(), example.ids.end(), 5);
      example.line = 9;
    }
    RC_ASSERT(plan_epoch(others, options, epoch) == plan);
  });
  EXPECT_TRUE(holds);
}

}  // namespace
}  // namespace morex::data
