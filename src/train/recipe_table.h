// The table behind recipes: one row per option drives parsing, defaults, errors, writing back and the reference page.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "train/recipe.h"

namespace morex::train {

// Whether changing an option changes the trained numbers; a resume is refused only for those that do.
enum class Effect { kResult, kNone };

struct RecipeOption {
  std::string name, type, meaning;
  bool required = false;
  Effect effect = Effect::kResult;
  // Stores a JSON value in the recipe; returns "" or what the value must be.
  std::function<std::string(const Json&, Recipe&)> read;
  std::function<Json(const Recipe&)> write;
};

const std::vector<RecipeOption>& recipe_table();

// The method part, for the reference page: adapters::read_method reads and checks it.
const std::vector<OptionRow>& method_rows();
// Its top-level keys.
const std::vector<std::string>& method_keys();

// Pairs of options that contradict each other, one sentence each. `given` tells which keys the recipe spells out.
std::vector<std::string> conflicting_options(const Recipe& recipe, const Json& given);

}  // namespace morex::train
