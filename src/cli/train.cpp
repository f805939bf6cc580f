// morex train: a recipe to an adapter.
#include <fmt/core.h>

#include <memory>

#include "base/strings.h"
#include "cli/command.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/process.h"
#include "cli/recipe_input.h"
#include "train/trainer.h"

namespace morex::cli {

namespace {

struct TrainOptions {
  std::string recipe;
  std::vector<std::string> overrides;
  bool json = false;
};

void print_text(const train::TrainResult& result, bool evaluated) {
  fmt::print("{}", aligned_pairs({
                       {"steps", fmt::format("{}", result.steps)},
                       {"train loss", fmt::format("{:.4f}", result.train_loss)},
                       {"eval loss", evaluated ? fmt::format("{:.4f}", result.eval_loss) : "not evaluated"},
                       {"trainable", with_thousands(result.trainable_parameters)},
                       {"time", format_duration(result.seconds)},
                       {"tokens/s", fmt::format("{:.0f}", result.tokens_per_second)},
                       {"peak memory", format_bytes(static_cast<double>(result.peak_memory_bytes))},
                       {"adapter", result.adapter_folder},
                   }));
  if (!result.profile.empty()) fmt::print("\n{}", result.profile);
}

void run(const TrainOptions& options, const Globals& globals) {
  Warnings warnings = globals.make_warnings();
  train::Recipe recipe = read_recipe(options.recipe, options.overrides);
  if (globals.threads > 0) recipe.threads = globals.threads;
  const train::TrainResult result = train::run_training(recipe, warnings, interrupt_flag(), globals.quiet);
  const bool evaluated = !recipe.validation_file.empty();
  if (!options.json) return print_text(result, evaluated);
  print_json({{"steps", result.steps},
              {"train_loss", result.train_loss},
              {"eval_loss", evaluated ? OrderedJson(result.eval_loss) : OrderedJson()},
              {"trainable_parameters", result.trainable_parameters},
              {"seconds", result.seconds},
              {"tokens_per_second", result.tokens_per_second},
              {"peak_memory_bytes", result.peak_memory_bytes},
              {"adapter", result.adapter_folder},
              {"warnings", warnings.messages()}});
}

}  // namespace

void add_train(Command program, Globals& globals) {
  const auto options = std::make_shared<TrainOptions>();
  Command command = program.subcommand("train", "Fine-tune a model as a recipe says");
  command.option("recipe", options->recipe, "Recipe in YAML; - reads standard input").required();
  command.option("overrides", options->overrides, "key=value: recipe options, nested ones with dots");
  command.flag("--json", options->json, "Print the result as JSON");
  command.on_chosen([options, &globals] { globals.action = [options, &globals] { run(*options, globals); }; });
}

}  // namespace morex::cli
