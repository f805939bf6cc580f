#include "train/output_folder.h"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "base/files.h"

namespace morex::train {
namespace {

namespace fs = std::filesystem;

bool written_by_a_run(const std::string& name) {
  static constexpr std::array kFiles = {"metrics.jsonl",     "samples.jsonl",        "routing.jsonl",
                                        "run.json",          "adapter_config.json",  "adapter_model.safetensors",
                                        "model.safetensors", "clusters.safetensors", "profile.txt",
                                        "profile.json"};
  return name.starts_with("checkpoint-") || name.starts_with("events.out.tfevents.") ||
         std::find(kFiles.begin(), kFiles.end(), name) != kFiles.end();
}

}  // namespace

void move_earlier_run_aside(const fs::path& output_dir, Warnings& warnings) {
  std::vector<fs::path> earlier;
  for (const auto& entry : fs::directory_iterator(output_dir))
    if (written_by_a_run(entry.path().filename().string())) earlier.push_back(entry.path());
  if (earlier.empty()) return;
  int64_t number = 1;
  while (fs::exists(output_dir / fmt::format("earlier-{}", number))) ++number;
  const fs::path aside = output_dir / fmt::format("earlier-{}", number);
  warnings.add("earlier_run", fmt::format("[{}] holds an earlier run, which moves to {}. Hint: "
                                          "resume_from_checkpoint: auto goes on with it.",
                                          output_dir.string(), aside.filename().string()));
  make_directories(aside);
  for (const fs::path& path : earlier) {
    std::error_code error;
    fs::rename(path, aside / path.filename(), error);
    MOREX_CHECK(!error, ErrorKind::kRun, "[{}] cannot be moved aside: {}", path.string(), error.message());
  }
}

}  // namespace morex::train
