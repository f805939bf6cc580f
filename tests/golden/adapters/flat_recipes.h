// Cases of the methods with a flat pool of experts on a projection, as recipes.
#pragma once
#include <optional>
#include <string>

#include "base/json.h"

namespace morex::test {

// Nothing for another method, or one that is not built.
std::optional<Json> flat_recipe(const std::string& method, const Json& config);

// The layout of official names that a method's cases are stored in; empty: ours.
std::string official_layout(const std::string& method);

}  // namespace morex::test
