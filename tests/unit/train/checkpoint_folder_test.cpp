#include "train/checkpoint_folder.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/files.h"
#include "support/paths.h"

namespace morex::train {
namespace {

namespace fs = std::filesystem;

void save(const CheckpointFolder& checkpoints, int64_t step, const std::string& content = "x") {
  checkpoints.save(step, [&](const fs::path& folder) { write_text_file(folder / "state", content); });
}

TEST(CheckpointFolder, Rotation_keeps_the_newest_and_the_best) {
  const fs::path folder = test::scratch_dir("rotation");
  const CheckpointFolder checkpoints(folder, 3);
  for (const int64_t step : {10, 20, 30, 40, 50}) {
    save(checkpoints, step);
    checkpoints.rotate(step, 20);
  }
  EXPECT_EQ(checkpoints.steps(), (std::vector<int64_t>{20, 40, 50}));
  EXPECT_EQ(checkpoints.latest(), folder / "checkpoint-50");
}

TEST(CheckpointFolder, Limit_one_still_keeps_best_and_last) {
  const CheckpointFolder checkpoints(test::scratch_dir("limit_one"), 1);
  for (const int64_t step : {1, 2, 3}) save(checkpoints, step);
  checkpoints.rotate(3, 1);
  EXPECT_EQ(checkpoints.steps(), (std::vector<int64_t>{1, 3}));
  checkpoints.rotate(3, -1);
  EXPECT_EQ(checkpoints.steps(), (std::vector<int64_t>{3}));
}

TEST(CheckpointFolder, Limit_zero_keeps_all) {
  const CheckpointFolder checkpoints(test::scratch_dir("limit_zero"), 0);
  for (const int64_t step : {1, 2, 3}) save(checkpoints, step);
  checkpoints.rotate(3, -1);
  EXPECT_EQ(checkpoints.steps().size(), 3u);
}

TEST(CheckpointFolder, Newer_checkpoints_of_an_abandoned_branch_are_not_counted) {
  const CheckpointFolder checkpoints(test::scratch_dir("branch"), 1);
  for (const int64_t step : {1, 2, 9}) save(checkpoints, step);
  checkpoints.rotate(2, -1);
  EXPECT_EQ(checkpoints.steps(), (std::vector<int64_t>{2, 9}));
}

TEST(CheckpointFolder, Failed_save_leaves_nothing_and_the_older_one_whole) {
  const fs::path folder = test::scratch_dir("failed_save");
  const CheckpointFolder checkpoints(folder, 2);
  save(checkpoints, 1, "old");
  const auto fill = [](const fs::path& partial) {
    write_text_file(partial / "state", "new");
    fail(ErrorKind::kRun, "no space");
  };
  EXPECT_THROW(checkpoints.save(1, fill), Error);
  EXPECT_THROW(checkpoints.save(2, fill), Error);
  EXPECT_EQ(checkpoints.steps(), std::vector<int64_t>{1});
  EXPECT_EQ(read_text_file(folder / "checkpoint-1" / "state"), "old");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder), fs::directory_iterator()), 1);
}

TEST(CheckpointFolder, Save_replaces_an_equal_step) {
  const fs::path folder = test::scratch_dir("replace");
  const CheckpointFolder checkpoints(folder, 2);
  save(checkpoints, 1, "old");
  save(checkpoints, 1, "new");
  EXPECT_EQ(read_text_file(folder / "checkpoint-1" / "state"), "new");
}

TEST(CheckpointFolder, Leftovers_are_ignored_and_removed) {
  const fs::path folder = test::scratch_dir("leftovers");
  const CheckpointFolder checkpoints(folder, 2);
  save(checkpoints, 4);
  for (const char* name : {".partial-checkpoint-8", ".old-checkpoint-2", "checkpoint-best", "checkpoint-7x"})
    fs::create_directories(folder / name / "inner");
  write_text_file(folder / "checkpoint-9", "a file");
  EXPECT_EQ(checkpoints.steps(), std::vector<int64_t>{4});
  checkpoints.remove_leftovers();
  EXPECT_FALSE(fs::exists(folder / ".partial-checkpoint-8"));
  EXPECT_FALSE(fs::exists(folder / ".old-checkpoint-2"));
  EXPECT_TRUE(fs::exists(folder / "checkpoint-best")) << "not ours";
}

}  // namespace
}  // namespace morex::train
