// golden/eval/train/packing.json: packed rows and first-fit bins.
#include <gtest/gtest.h>

#include "base/json.h"
#include "data/packing.h"
#include "support/paths.h"

namespace morex::data {
namespace {
namespace fs = std::filesystem;

using Ids = std::vector<int64_t>;

class PackingGolden : public testing::Test {
 protected:
  void SetUp() override {
    const fs::path path = test::golden_dir() / "eval" / "train" / "packing.json";
    if (!fs::exists(path)) GTEST_SKIP() << "not there: " << path;
    golden_ = read_json_file(path);
  }
  Json golden_;
};

TEST_F(PackingGolden, packed_row_matches) {
  std::vector<Example> examples;
  Ids rows;
  for (const Json& segment : golden_.at("segments")) {
    Example example;
    example.ids = segment.at("ids").get<Ids>();
    example.labels = segment.at("labels").get<Ids>();
    EXPECT_EQ(example.supervised(), segment.at("n_targets").get<int64_t>());
    rows.push_back(static_cast<int64_t>(examples.size()));
    examples.push_back(std::move(example));
  }
  ASSERT_FALSE(examples.empty());
  const PackedRow row = pack(examples, rows);
  EXPECT_EQ(row.ids, golden_.at("packed_ids").get<Ids>());
  EXPECT_EQ(row.labels, golden_.at("labels").get<Ids>());
  EXPECT_EQ(row.position_ids, golden_.at("position_ids").get<Ids>());
  EXPECT_EQ(row.segment_ids, golden_.at("segment_ids").get<Ids>());
  EXPECT_EQ(row.boundaries, golden_.at("cu_seqlens").get<Ids>());
}

TEST_F(PackingGolden, first_fit_bins_match) {
  const Json& golden = golden_.at("first_fit");
  const auto lengths = golden.at("lengths").get<Ids>();
  const auto capacity = golden.at("capacity").get<int64_t>();
  EXPECT_EQ(first_fit(lengths, capacity, PackingOrder::kGiven), golden.at("in_order").get<std::vector<Ids>>());
  EXPECT_EQ(first_fit(lengths, capacity, PackingOrder::kDecreasing),
            golden.at("decreasing_stable").get<std::vector<Ids>>());
}

}  // namespace
}  // namespace morex::data
