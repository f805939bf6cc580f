// YAML recipes as JSON. Values follow YAML 1.2's core schema, so 1e-4 is a number; what YAML 1.1 and 1.2 read
// differently (no, on, 010) is refused instead of guessed.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace morex::cli {

// One document to JSON; an empty one is null. Throws Error(kConfig) "WHERE:LINE: …": syntax, duplicate keys, ambiguous
// scalars, unknown tags, nesting without end.
Json parse_yaml(const std::string& text, const std::string& where);

// The recipe in `path` ("-": standard input), which must be a mapping.
Json read_recipe_file(const std::string& path);

// Applies "key=value" in order: dots lead into nested mappings and (by number) lists, the value is YAML or JSON.
void apply_overrides(Json& recipe, const std::vector<std::string>& overrides);

}  // namespace morex::cli
