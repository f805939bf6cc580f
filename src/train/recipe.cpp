#include "train/recipe.h"

#include <algorithm>

#include "adapters/method_config.h"
#include "base/strings.h"
#include "train/recipe_table.h"

namespace morex::train {
namespace {

const RecipeOption* find_option(const std::string& name) {
  for (const RecipeOption& row : recipe_table())
    if (row.name == name) return &row;
  return nullptr;
}

bool is_method_key(const std::string& name) {
  return std::find(method_keys().begin(), method_keys().end(), name) != method_keys().end();
}

std::vector<std::string> all_names() {
  std::vector<std::string> names = method_keys();
  for (const RecipeOption& row : recipe_table()) names.push_back(row.name);
  return names;
}

bool names_a_method(const Json& method) {
  return method.contains("method") || method.contains("experts") || method.contains("adapters");
}

// "" or what is wrong with the method part as far as it can be told without a model.
std::string method_problem(const Json& method) {
  if (!names_a_method(method)) return "method is missing: name a preset (lora, smore, full, …), or give experts";
  if (method.value("method", Json()) == "full") return "";
  try {
    adapters::read_method(method);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

std::string shown(const Json& value) {
  std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  constexpr size_t kLongest = 60;
  if (text.size() > kLongest) text.replace(kLongest, std::string::npos, "...");
  return text;
}

}  // namespace

Recipe parse_recipe(const Json& json) {
  MOREX_CHECK(json.is_object(), ErrorKind::kConfig, "[recipe] must be a mapping of keys to values, got {}",
              json.type_name());
  Recipe recipe;
  recipe.method = Json::object();
  std::vector<std::string> problems;
  for (const auto& [key, value] : json.items()) {
    const RecipeOption* row = find_option(key);
    if (row == nullptr && is_method_key(key)) {
      if (!value.is_null()) recipe.method[key] = value;
    } else if (row == nullptr) {
      problems.push_back(fmt::format("unknown key '{}'.{}", key, did_you_mean(key, all_names())));
    } else if (!value.is_null()) {
      const std::string expected = row->read(value, recipe);
      if (!expected.empty()) problems.push_back(fmt::format("{} must be {}, got {}", key, expected, shown(value)));
    }
  }
  for (const RecipeOption& row : recipe_table())
    if (row.required && (!json.contains(row.name) || row.write(recipe) == ""))
      problems.push_back(fmt::format("{} is required", row.name));
  if (!recipe.shuffle && !json.contains("group_by_length")) recipe.group_by_length = false;
  if (std::string problem = method_problem(recipe.method); !problem.empty()) problems.push_back(std::move(problem));
  for (std::string& problem : conflicting_options(recipe, json)) problems.push_back(std::move(problem));
  MOREX_CHECK(problems.empty(), ErrorKind::kConfig, "[recipe] {}", join(problems, "; "));
  return recipe;
}

Json recipe_to_json(const Recipe& recipe) {
  Json json = recipe.method.is_object() ? recipe.method : Json::object();
  for (const RecipeOption& row : recipe_table()) json[row.name] = row.write(recipe);
  return json;
}

std::vector<OptionRow> recipe_options() {
  const Recipe defaults;
  std::vector<OptionRow> rows;
  for (const RecipeOption& row : recipe_table())
    rows.push_back({row.name, row.type, row.required ? "required" : row.write(defaults).dump(), row.meaning});
  rows.insert(rows.end(), method_rows().begin(), method_rows().end());
  return rows;
}

std::vector<std::string> result_differences(const Json& before, const Json& now) {
  std::vector<std::string> differences;
  for (const std::string& name : all_names()) {
    const RecipeOption* row = find_option(name);
    if (row != nullptr && row->effect == Effect::kNone) continue;
    const Json was = before.value(name, Json()), is = now.value(name, Json());
    if (was != is) differences.push_back(fmt::format("{}: was {}, is {}", name, shown(was), shown(is)));
  }
  return differences;
}

}  // namespace morex::train
