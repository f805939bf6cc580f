#include "cli/recipe_input.h"

#include "cli/yaml.h"

namespace morex::cli {

train::Recipe read_recipe(const std::string& path, const std::vector<std::string>& overrides) {
  Json recipe = read_recipe_file(path);
  apply_overrides(recipe, overrides);
  return train::parse_recipe(recipe);
}

train::Recipe read_partial_recipe(const std::string& path, const std::vector<std::string>& overrides) {
  Json json = read_recipe_file(path);
  apply_overrides(json, overrides);
  std::vector<std::string> absent;
  for (const train::OptionRow& row : train::recipe_options()) {
    if (row.default_value == "required" && !json.contains(row.name)) absent.push_back(row.name);
  }
  for (const std::string& name : absent) json[name] = "unused";
  train::Recipe recipe = train::parse_recipe(json);
  for (const std::string& name : absent) {
    if (name == "model_name_or_path") recipe.model_name_or_path.clear();
    if (name == "train_file") recipe.train_file.clear();
  }
  return recipe;
}

}  // namespace morex::cli
