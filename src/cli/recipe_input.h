// Recipes from the command line.
#pragma once
#include <string>
#include <vector>

#include "base/json.h"
#include "train/recipe.h"

namespace morex::cli {

// The recipe in `path` ("-": standard input) with its overrides, checked.
train::Recipe read_recipe(const std::string& path, const std::vector<std::string>& overrides);

// The same for looking at a part of it: keys that training requires (files, folders) may be missing.
train::Recipe read_partial_recipe(const std::string& path, const std::vector<std::string>& overrides);

}  // namespace morex::cli
