// Every .case file of the folder `cases`, each a test.
#include <gtest/gtest.h>

#include <algorithm>

#include "e2e/case_file.h"
#include "support/paths.h"

namespace morex::test {
namespace {

std::vector<std::string> case_names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(source_dir() / "tests/e2e/cases")) {
    if (entry.path().extension() == ".case") names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

class Cli : public testing::TestWithParam<std::string> {};

TEST_P(Cli, Case) { run_case(source_dir() / "tests/e2e/cases" / (GetParam() + ".case")); }

INSTANTIATE_TEST_SUITE_P(Cases, Cli, testing::ValuesIn(case_names()),
                         [](const testing::TestParamInfo<std::string>& info) { return info.param; });

}  // namespace
}  // namespace morex::test
