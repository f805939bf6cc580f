// Cases of the methods whose experts are feed-forward blocks, as recipes.
#pragma once
#include <optional>
#include <string>

#include "base/json.h"

namespace morex::test {

// Nothing for another method. The case's act_fn belongs to the base and is left out.
std::optional<Json> ffn_recipe(const std::string& method, const Json& config);

}  // namespace morex::test
