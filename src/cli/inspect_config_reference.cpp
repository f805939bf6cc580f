// morex inspect config-reference: every recipe option as a Markdown page, from the table that also parses recipes.
#include <fmt/core.h>

#include "cli/command.h"
#include "cli/options.h"
#include "train/recipe.h"

namespace morex::cli {

namespace {

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) out += c == '|' ? std::string("\\|") : std::string(1, c);
  return out;
}

void print_reference() {
  fmt::print(
      "# Recipe options\n\n"
      "Written by `morex inspect config-reference`; do not edit.\n\n"
      "A recipe is flat YAML. Every key can also be given as `key=value` after the recipe, nested ones with dots\n"
      "(`experts.ranks=[8,16]`).\n\n"
      "| key | value | default | meaning |\n|---|---|---|---|\n");
  for (const train::OptionRow& row : train::recipe_options()) {
    const std::string fallback = row.default_value == "required" ? "required" : fmt::format("`{}`", row.default_value);
    fmt::print("| `{}` | {} | {} | {} |\n", row.name, escaped(row.type), escaped(fallback), escaped(row.meaning));
  }
}

}  // namespace

void add_inspect_config_reference(Command inspect, Globals& globals) {
  Command command = inspect.subcommand("config-reference", "Every recipe option as a Markdown page");
  command.on_chosen([&globals] { globals.action = print_reference; });
}

}  // namespace morex::cli
