// The cases of golden/models, found by listing it.
#pragma once
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "support/paths.h"

namespace morex::test {

inline std::filesystem::path variant_dir(const std::string& name) { return golden_dir() / "models" / name; }

// Checkpoints with reference values beside them.
inline std::vector<std::string> variant_cases() {
  std::vector<std::string> cases;
  for (const std::string& name : golden_cases("models", "")) {
    if (std::filesystem::exists(variant_dir(name) / "golden.json")) cases.push_back(name);
  }
  return cases;
}

inline std::string case_name(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  for (char& c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  }
  return name;
}

}  // namespace morex::test
