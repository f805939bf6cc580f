// The micro-batches of a run.
#include "train/batch_source.h"

#include <gtest/gtest.h>

#include "train/recipe.h"

namespace morex::train {
namespace {

std::vector<data::Example> examples_of(const std::vector<int64_t>& lengths) {
  std::vector<data::Example> examples;
  for (const int64_t length : lengths) {
    data::Example example;
    example.ids.assign(static_cast<size_t>(length), 1);
    example.labels = example.ids;
    examples.push_back(example);
  }
  return examples;
}

Recipe in_order() {
  return parse_recipe({{"model_name_or_path", "m"},
                       {"train_file", "t"},
                       {"output_dir", "o"},
                       {"method", "lora"},
                       {"per_device_train_batch_size", 3},
                       {"shuffle", false},
                       {"group_by_length", false}});
}

TEST(BatchSource, TheLargestBatchIsThatOfMostComputedPositions) {
  // Much padding; none; a little, which is computed either way.
  const std::vector<data::Example> examples = examples_of({20, 1, 1, 10, 10, 10, 12, 12, 11});
  const BatchSource source(examples, in_order(), /*pad_id=*/0);
  EXPECT_EQ(source.largest(3, /*keep_padding=*/true).length, 20);
  EXPECT_EQ(source.largest(3, /*keep_padding=*/false).length, 12);
  EXPECT_EQ(source.largest(2, /*keep_padding=*/false).length, 10);
  EXPECT_EQ(source.largest(1, /*keep_padding=*/false).length, 20);
  EXPECT_EQ(source.largest(100, /*keep_padding=*/true).length, 20);
}

}  // namespace
}  // namespace morex::train
