#include "train/checkpoint_folder.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <string>

#include "base/files.h"

namespace morex::train {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "checkpoint-", kPartial = ".partial-checkpoint-", kDiscarded = ".old-checkpoint-";

std::optional<int64_t> step_of(const std::string& name) {
  if (!name.starts_with(kPrefix)) return std::nullopt;
  int64_t step = 0;
  const char* end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(name.data() + kPrefix.size(), end, step);
  return error == std::errc() && stop == end && step >= 0 ? std::optional(step) : std::nullopt;
}

fs::path numbered(const fs::path& folder, std::string_view prefix, int64_t step) {
  return folder / fmt::format("{}{}", prefix, step);
}

void rename_folder(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::rename(from, to, error);
  MOREX_CHECK(!error, ErrorKind::kRun, "[{}] cannot be renamed to {}: {}", from.string(), to.string(), error.message());
}

// Deletes a folder when its scope ends, unless it was renamed away.
class RemoveAtExit {
 public:
  explicit RemoveAtExit(fs::path folder) : folder_(std::move(folder)) {}
  ~RemoveAtExit() {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }
  RemoveAtExit(const RemoveAtExit&) = delete;
  RemoveAtExit& operator=(const RemoveAtExit&) = delete;

 private:
  fs::path folder_;
};

}  // namespace

CheckpointFolder::CheckpointFolder(fs::path output_dir, int64_t limit)
    : output_dir_(std::move(output_dir)), limit_(limit) {}

void CheckpointFolder::remove_leftovers() const {
  std::vector<fs::path> leftovers;
  for (const auto& entry : fs::directory_iterator(output_dir_)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(kPartial) || name.starts_with(kDiscarded)) leftovers.push_back(entry.path());
  }
  std::error_code ignored;  // they are hidden and never read; the next start tries again
  for (const fs::path& path : leftovers) fs::remove_all(path, ignored);
}

std::vector<int64_t> CheckpointFolder::steps() const {
  std::vector<int64_t> steps;
  if (!fs::is_directory(output_dir_)) return steps;
  for (const auto& entry : fs::directory_iterator(output_dir_))
    if (const auto step = step_of(entry.path().filename().string()); step && entry.is_directory())
      steps.push_back(*step);
  std::sort(steps.begin(), steps.end());
  return steps;
}

std::optional<fs::path> CheckpointFolder::latest() const {
  const std::vector<int64_t> all = steps();
  return all.empty() ? std::nullopt : std::optional(path(all.back()));
}

fs::path CheckpointFolder::path(int64_t step) const { return numbered(output_dir_, kPrefix, step); }

void CheckpointFolder::save(int64_t step, const std::function<void(const fs::path&)>& fill) const {
  const fs::path partial = numbered(output_dir_, kPartial, step);
  const RemoveAtExit cleanup(partial);
  std::error_code error;
  fs::remove_all(partial, error);
  make_directories(partial);
  fill(partial);
  sync_directory(partial);
  if (fs::exists(path(step))) remove(step);
  rename_folder(partial, path(step));
  sync_directory(output_dir_);
}

void CheckpointFolder::remove(int64_t step) const {
  const fs::path discarded = numbered(output_dir_, kDiscarded, step);
  const RemoveAtExit cleanup(discarded);
  rename_folder(path(step), discarded);
}

void CheckpointFolder::rotate(int64_t last, int64_t best) const {
  if (limit_ == 0) return;
  std::vector<int64_t> all = steps();
  std::erase_if(all, [last](int64_t step) { return step > last; });
  std::set<int64_t> kept = {last};
  if (best >= 0) kept.insert(best);
  for (auto step = all.rbegin(); step != all.rend() && static_cast<int64_t>(kept.size()) < limit_; ++step)
    kept.insert(*step);
  for (const int64_t step : all)
    if (!kept.contains(step)) remove(step);
}

}  // namespace morex::train
