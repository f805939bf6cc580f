#include "support/paths.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>

namespace morex::test {
namespace fs = std::filesystem;

namespace {

fs::path from_environment(const char* variable, const fs::path& fallback) {
  const char* value = std::getenv(variable);
  return value != nullptr && *value != '\0' ? fs::path(value) : fallback;
}

fs::path cache_dir() {
  const char* home = std::getenv("HOME");
  return from_environment("XDG_CACHE_HOME", fs::path(home == nullptr ? "/" : home) / ".cache") / "morex";
}

}  // namespace

fs::path source_dir() { return MOREX_SOURCE_DIR; }

fs::path golden_dir() {
  const fs::path shared = source_dir().parent_path() / "shared" / "golden";
  const fs::path own = source_dir() / "tests" / "golden" / "data";
  return from_environment("MOREX_GOLDEN_DIR", fs::exists(shared) ? shared : own);
}

fs::path data_dir() { return from_environment("MOREX_DATA_DIR", source_dir().parent_path() / "shared" / "data"); }

fs::path smollm2_gguf() { return cache_dir() / "smollm2" / "SmolLM2-135M-Instruct.Q4_1.gguf"; }

fs::path tiny_encoder() { return source_dir() / "tests" / "golden" / "data" / "encoder" / "tiny"; }

fs::path minilm() {
  const fs::path given = data_dir() / "models" / "all-minilm-l6-v2";
  return fs::exists(given) ? given : cache_dir() / "all-minilm-l6-v2";
}

fs::path program() { return fs::read_symlink("/proc/self/exe").parent_path() / "morex"; }

fs::path scratch_dir(const std::string& name) {
  const fs::path folder = fs::temp_directory_path() / ("morex_test_" + std::to_string(getpid()) + "_" + name);
  fs::remove_all(folder);
  fs::create_directories(folder);
  return folder;
}

std::vector<std::string> golden_cases(const std::string& part, const std::string& suffix) {
  std::vector<std::string> names;
  const fs::path folder = golden_dir() / part;
  if (!fs::is_directory(folder)) return names;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (suffix.empty()) {
      if (entry.is_directory()) names.push_back(name);
    } else if (name.size() > suffix.size() && name.ends_with(suffix)) {
      names.push_back(name.substr(0, name.size() - suffix.size()));
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace morex::test
