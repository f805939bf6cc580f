// The models that the golden values of evaluation come from.
#pragma once
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "models/causal_lm.h"
#include "text/tokenizer.h"

namespace morex::test {

std::filesystem::path tinystories();  // the folder; may not exist
std::unique_ptr<models::CausalLm> load_for_test(const std::filesystem::path& path, at::ScalarType dtype);
std::vector<Json> read_lines(const std::filesystem::path& file);

}  // namespace morex::test
