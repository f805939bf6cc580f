// The configurations of golden/methods, in the methods' own words, as recipes.
#pragma once
#include <optional>
#include <string>

#include "base/json.h"

namespace morex::test {

// A case's `method` and `config` -> the recipe's method part, without targets. Nothing for a method that is not built.
std::optional<Json> recipe_of_case(const std::string& method, const Json& config);

// Whether the recipe's experts can be gathered as well as run densely.
bool can_gather(const Json& recipe);

}  // namespace morex::test
