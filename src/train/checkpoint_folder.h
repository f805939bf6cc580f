// The checkpoint-N folders of a run. A folder under that name is complete: it is written under another name, flushed
// to the disk and renamed. A kill at any moment leaves either the old state or the new one, and at most a hidden
// leftover that the next start removes.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <vector>

namespace morex::train {

class CheckpointFolder {
 public:
  // `limit`: checkpoints kept by rotation; 0: all.
  CheckpointFolder(std::filesystem::path output_dir, int64_t limit);

  // Deletes what an interrupted save or rotation left behind.
  void remove_leftovers() const;
  std::vector<int64_t> steps() const;  // of the complete checkpoints, ascending
  std::optional<std::filesystem::path> latest() const;
  std::filesystem::path path(int64_t step) const;

  // Writes checkpoint-`step` by calling `fill` with an empty folder, replacing an older one of that step. On an
  // exception nothing of it remains and the older checkpoints are untouched. Throws Error(kRun) when the disk refuses.
  void save(int64_t step, const std::function<void(const std::filesystem::path&)>& fill) const;

  // Deletes the oldest checkpoints up to step `last` beyond the limit; `last` and `best` (when >= 0) are never deleted.
  void rotate(int64_t last, int64_t best) const;

 private:
  void remove(int64_t step) const;
  std::filesystem::path output_dir_;
  int64_t limit_;
};

}  // namespace morex::train
